/// Registers SSE to SSE4.2, AES, PCLMULQDQ, SHA, AVX, AVX2, FMA and F16C.
func registerVector(_ table: inout LoweringTable) {
  registerVectorMoves(&table)
  registerVectorLogic(&table)
  registerVectorArithmetic(&table)
  registerVectorComparisons(&table)
  registerVectorProducts(&table)
  registerVectorSigns(&table)
  registerVectorHorizontals(&table)
}
