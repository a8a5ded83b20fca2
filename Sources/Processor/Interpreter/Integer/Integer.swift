/// General-purpose instructions (SDM volume 1, 7.3): everything on general registers, memory and flags but the string and
/// system instructions.
func registerInteger(_ table: inout LoweringTable) {
  registerMoves(&table)
  registerArithmetic(&table)
  registerLogic(&table)
  registerUnary(&table)
  registerShifts(&table)
  registerMultiply(&table)
  registerBits(&table)
  registerConditionals(&table)
  registerStack(&table)
  registerBranches(&table)
  registerFlagControl(&table)
  registerDecimalAdjust(&table)
  registerTraps(&table)
}
