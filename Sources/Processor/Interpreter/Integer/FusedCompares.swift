import CHost

// Compare-and-branch pairs as one operation each (Fusion.swift).

func fuseCmp8rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp8rr_b
  case 3: return cmp8rr_ae
  case 4: return cmp8rr_z
  case 5: return cmp8rr_nz
  case 6: return cmp8rr_be
  case 7: return cmp8rr_a
  case 8: return cmp8rr_s
  case 9: return cmp8rr_ns
  case 12: return cmp8rr_l
  case 13: return cmp8rr_ge
  case 14: return cmp8rr_le
  case 15: return cmp8rr_g
  default: return nil
  }
}
@inline(__always) private func cmp8rr_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Below.self) }
@inline(__always) private func cmp8rr_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt8.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp8rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Zero.self) }
@inline(__always) private func cmp8rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp8rr_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt8.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp8rr_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Above.self) }
@inline(__always) private func cmp8rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Sign.self) }
@inline(__always) private func cmp8rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp8rr_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Less.self) }
@inline(__always) private func cmp8rr_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt8.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp8rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt8.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp8rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Compare.self, Greater.self) }

func fuseCmp8ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp8ri_b
  case 3: return cmp8ri_ae
  case 4: return cmp8ri_z
  case 5: return cmp8ri_nz
  case 6: return cmp8ri_be
  case 7: return cmp8ri_a
  case 8: return cmp8ri_s
  case 9: return cmp8ri_ns
  case 12: return cmp8ri_l
  case 13: return cmp8ri_ge
  case 14: return cmp8ri_le
  case 15: return cmp8ri_g
  default: return nil
  }
}
@inline(__always) private func cmp8ri_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Below.self) }
@inline(__always) private func cmp8ri_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt8.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp8ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Zero.self) }
@inline(__always) private func cmp8ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp8ri_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt8.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp8ri_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Above.self) }
@inline(__always) private func cmp8ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Sign.self) }
@inline(__always) private func cmp8ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp8ri_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Less.self) }
@inline(__always) private func cmp8ri_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt8.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp8ri_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt8.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp8ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Compare.self, Greater.self) }

func fuseCmp16rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp16rr_b
  case 3: return cmp16rr_ae
  case 4: return cmp16rr_z
  case 5: return cmp16rr_nz
  case 6: return cmp16rr_be
  case 7: return cmp16rr_a
  case 8: return cmp16rr_s
  case 9: return cmp16rr_ns
  case 12: return cmp16rr_l
  case 13: return cmp16rr_ge
  case 14: return cmp16rr_le
  case 15: return cmp16rr_g
  default: return nil
  }
}
@inline(__always) private func cmp16rr_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Below.self) }
@inline(__always) private func cmp16rr_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt16.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp16rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Zero.self) }
@inline(__always) private func cmp16rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp16rr_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt16.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp16rr_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Above.self) }
@inline(__always) private func cmp16rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Sign.self) }
@inline(__always) private func cmp16rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp16rr_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Less.self) }
@inline(__always) private func cmp16rr_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt16.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp16rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt16.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp16rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt16.self, Compare.self, Greater.self) }

func fuseCmp16ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp16ri_b
  case 3: return cmp16ri_ae
  case 4: return cmp16ri_z
  case 5: return cmp16ri_nz
  case 6: return cmp16ri_be
  case 7: return cmp16ri_a
  case 8: return cmp16ri_s
  case 9: return cmp16ri_ns
  case 12: return cmp16ri_l
  case 13: return cmp16ri_ge
  case 14: return cmp16ri_le
  case 15: return cmp16ri_g
  default: return nil
  }
}
@inline(__always) private func cmp16ri_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Below.self) }
@inline(__always) private func cmp16ri_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt16.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp16ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Zero.self) }
@inline(__always) private func cmp16ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp16ri_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt16.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp16ri_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Above.self) }
@inline(__always) private func cmp16ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Sign.self) }
@inline(__always) private func cmp16ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp16ri_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Less.self) }
@inline(__always) private func cmp16ri_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt16.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp16ri_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt16.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp16ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt16.self, Compare.self, Greater.self) }

func fuseCmp32rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp32rr_b
  case 3: return cmp32rr_ae
  case 4: return cmp32rr_z
  case 5: return cmp32rr_nz
  case 6: return cmp32rr_be
  case 7: return cmp32rr_a
  case 8: return cmp32rr_s
  case 9: return cmp32rr_ns
  case 12: return cmp32rr_l
  case 13: return cmp32rr_ge
  case 14: return cmp32rr_le
  case 15: return cmp32rr_g
  default: return nil
  }
}
@inline(__always) private func cmp32rr_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Below.self) }
@inline(__always) private func cmp32rr_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt32.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp32rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Zero.self) }
@inline(__always) private func cmp32rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp32rr_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt32.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp32rr_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Above.self) }
@inline(__always) private func cmp32rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Sign.self) }
@inline(__always) private func cmp32rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp32rr_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Less.self) }
@inline(__always) private func cmp32rr_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt32.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp32rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt32.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp32rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Compare.self, Greater.self) }

func fuseCmp32ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp32ri_b
  case 3: return cmp32ri_ae
  case 4: return cmp32ri_z
  case 5: return cmp32ri_nz
  case 6: return cmp32ri_be
  case 7: return cmp32ri_a
  case 8: return cmp32ri_s
  case 9: return cmp32ri_ns
  case 12: return cmp32ri_l
  case 13: return cmp32ri_ge
  case 14: return cmp32ri_le
  case 15: return cmp32ri_g
  default: return nil
  }
}
@inline(__always) private func cmp32ri_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Below.self) }
@inline(__always) private func cmp32ri_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp32ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Zero.self) }
@inline(__always) private func cmp32ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp32ri_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp32ri_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Above.self) }
@inline(__always) private func cmp32ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Sign.self) }
@inline(__always) private func cmp32ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp32ri_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Less.self) }
@inline(__always) private func cmp32ri_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp32ri_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp32ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Compare.self, Greater.self) }

func fuseCmp64rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp64rr_b
  case 3: return cmp64rr_ae
  case 4: return cmp64rr_z
  case 5: return cmp64rr_nz
  case 6: return cmp64rr_be
  case 7: return cmp64rr_a
  case 8: return cmp64rr_s
  case 9: return cmp64rr_ns
  case 12: return cmp64rr_l
  case 13: return cmp64rr_ge
  case 14: return cmp64rr_le
  case 15: return cmp64rr_g
  default: return nil
  }
}
@inline(__always) private func cmp64rr_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Below.self) }
@inline(__always) private func cmp64rr_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt64.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp64rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Zero.self) }
@inline(__always) private func cmp64rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp64rr_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt64.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp64rr_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Above.self) }
@inline(__always) private func cmp64rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Sign.self) }
@inline(__always) private func cmp64rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp64rr_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Less.self) }
@inline(__always) private func cmp64rr_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt64.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp64rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt64.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp64rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Compare.self, Greater.self) }

func fuseCmp64ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp64ri_b
  case 3: return cmp64ri_ae
  case 4: return cmp64ri_z
  case 5: return cmp64ri_nz
  case 6: return cmp64ri_be
  case 7: return cmp64ri_a
  case 8: return cmp64ri_s
  case 9: return cmp64ri_ns
  case 12: return cmp64ri_l
  case 13: return cmp64ri_ge
  case 14: return cmp64ri_le
  case 15: return cmp64ri_g
  default: return nil
  }
}
@inline(__always) private func cmp64ri_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Below.self) }
@inline(__always) private func cmp64ri_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt64.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp64ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Zero.self) }
@inline(__always) private func cmp64ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp64ri_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt64.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp64ri_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Above.self) }
@inline(__always) private func cmp64ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Sign.self) }
@inline(__always) private func cmp64ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp64ri_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Less.self) }
@inline(__always) private func cmp64ri_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt64.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp64ri_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt64.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp64ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Compare.self, Greater.self) }
