func registerVector(_ table: inout LoweringTable) {}
func vectorStateEnter(_ cpu: CPU) {}
func vectorStateLeave(_ cpu: CPU) {}
