func registerVector(_ table: inout LoweringTable) {}
