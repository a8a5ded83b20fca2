func registerSystem(_ table: inout LoweringTable) {}
