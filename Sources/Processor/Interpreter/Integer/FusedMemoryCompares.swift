import CHost

// Compare-and-branch pairs as one operation each (Fusion.swift).

func fuseCmp8mi(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp8mi_b
  case 3: return cmp8mi_ae
  case 4: return cmp8mi_z
  case 5: return cmp8mi_nz
  case 6: return cmp8mi_be
  case 7: return cmp8mi_a
  case 8: return cmp8mi_s
  case 9: return cmp8mi_ns
  case 12: return cmp8mi_l
  case 13: return cmp8mi_ge
  case 14: return cmp8mi_le
  case 15: return cmp8mi_g
  default: return nil
  }
}
@inline(__always) private func cmp8mi_b(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Below.self) }
@inline(__always) private func cmp8mi_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt8.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp8mi_z(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Zero.self) }
@inline(__always) private func cmp8mi_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp8mi_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt8.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp8mi_a(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Above.self) }
@inline(__always) private func cmp8mi_s(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Sign.self) }
@inline(__always) private func cmp8mi_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp8mi_l(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Less.self) }
@inline(__always) private func cmp8mi_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt8.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp8mi_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt8.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp8mi_g(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Compare.self, Greater.self) }

func fuseCmp32mi(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp32mi_b
  case 3: return cmp32mi_ae
  case 4: return cmp32mi_z
  case 5: return cmp32mi_nz
  case 6: return cmp32mi_be
  case 7: return cmp32mi_a
  case 8: return cmp32mi_s
  case 9: return cmp32mi_ns
  case 12: return cmp32mi_l
  case 13: return cmp32mi_ge
  case 14: return cmp32mi_le
  case 15: return cmp32mi_g
  default: return nil
  }
}
@inline(__always) private func cmp32mi_b(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Below.self) }
@inline(__always) private func cmp32mi_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt32.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp32mi_z(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Zero.self) }
@inline(__always) private func cmp32mi_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp32mi_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt32.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp32mi_a(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Above.self) }
@inline(__always) private func cmp32mi_s(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Sign.self) }
@inline(__always) private func cmp32mi_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp32mi_l(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Less.self) }
@inline(__always) private func cmp32mi_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt32.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp32mi_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt32.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp32mi_g(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt32.self, Compare.self, Greater.self) }

func fuseCmp64mi(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp64mi_b
  case 3: return cmp64mi_ae
  case 4: return cmp64mi_z
  case 5: return cmp64mi_nz
  case 6: return cmp64mi_be
  case 7: return cmp64mi_a
  case 8: return cmp64mi_s
  case 9: return cmp64mi_ns
  case 12: return cmp64mi_l
  case 13: return cmp64mi_ge
  case 14: return cmp64mi_le
  case 15: return cmp64mi_g
  default: return nil
  }
}
@inline(__always) private func cmp64mi_b(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Below.self) }
@inline(__always) private func cmp64mi_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt64.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp64mi_z(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Zero.self) }
@inline(__always) private func cmp64mi_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp64mi_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt64.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp64mi_a(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Above.self) }
@inline(__always) private func cmp64mi_s(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Sign.self) }
@inline(__always) private func cmp64mi_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp64mi_l(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Less.self) }
@inline(__always) private func cmp64mi_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt64.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp64mi_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedMI(c, o, UInt64.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp64mi_g(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt64.self, Compare.self, Greater.self) }

func fuseCmp32rm(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp32rm_b
  case 3: return cmp32rm_ae
  case 4: return cmp32rm_z
  case 5: return cmp32rm_nz
  case 6: return cmp32rm_be
  case 7: return cmp32rm_a
  case 8: return cmp32rm_s
  case 9: return cmp32rm_ns
  case 12: return cmp32rm_l
  case 13: return cmp32rm_ge
  case 14: return cmp32rm_le
  case 15: return cmp32rm_g
  default: return nil
  }
}
@inline(__always) private func cmp32rm_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Below.self) }
@inline(__always) private func cmp32rm_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt32.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp32rm_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Zero.self) }
@inline(__always) private func cmp32rm_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp32rm_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt32.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp32rm_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Above.self) }
@inline(__always) private func cmp32rm_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Sign.self) }
@inline(__always) private func cmp32rm_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp32rm_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Less.self) }
@inline(__always) private func cmp32rm_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt32.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp32rm_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt32.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp32rm_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt32.self, Compare.self, Greater.self) }

func fuseCmp64rm(_ code: UInt8) -> pv_handler? {
  switch code {
  case 2: return cmp64rm_b
  case 3: return cmp64rm_ae
  case 4: return cmp64rm_z
  case 5: return cmp64rm_nz
  case 6: return cmp64rm_be
  case 7: return cmp64rm_a
  case 8: return cmp64rm_s
  case 9: return cmp64rm_ns
  case 12: return cmp64rm_l
  case 13: return cmp64rm_ge
  case 14: return cmp64rm_le
  case 15: return cmp64rm_g
  default: return nil
  }
}
@inline(__always) private func cmp64rm_b(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Below.self) }
@inline(__always) private func cmp64rm_ae(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt64.self, Compare.self, AboveOrEqual.self)
}
@inline(__always) private func cmp64rm_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Zero.self) }
@inline(__always) private func cmp64rm_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, NotZero.self) }
@inline(__always) private func cmp64rm_be(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt64.self, Compare.self, BelowOrEqual.self)
}
@inline(__always) private func cmp64rm_a(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Above.self) }
@inline(__always) private func cmp64rm_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Sign.self) }
@inline(__always) private func cmp64rm_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, NoSign.self) }
@inline(__always) private func cmp64rm_l(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Less.self) }
@inline(__always) private func cmp64rm_ge(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt64.self, Compare.self, GreaterOrEqual.self)
}
@inline(__always) private func cmp64rm_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRM(c, o, UInt64.self, Compare.self, LessOrEqual.self)
}
@inline(__always) private func cmp64rm_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRM(c, o, UInt64.self, Compare.self, Greater.self) }
