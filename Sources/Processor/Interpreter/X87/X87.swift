func registerX87(_ table: inout LoweringTable) {}
