func registerStrings(_ table: inout LoweringTable) {}
