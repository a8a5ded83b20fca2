func registerInteger(_ table: inout LoweringTable) {}
