import CHost

// Compare-and-branch pairs as one operation each (Fusion.swift).

func fuseTest8rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test8rr_z
  case 5: return test8rr_nz
  case 8: return test8rr_s
  case 9: return test8rr_ns
  case 14: return test8rr_le
  case 15: return test8rr_g
  default: return nil
  }
}
@inline(__always) private func test8rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, Zero.self) }
@inline(__always) private func test8rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, NotZero.self) }
@inline(__always) private func test8rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, Sign.self) }
@inline(__always) private func test8rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, NoSign.self) }
@inline(__always) private func test8rr_le(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, LessOrEqual.self) }
@inline(__always) private func test8rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt8.self, Test.self, Greater.self) }

func fuseTest8ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test8ri_z
  case 5: return test8ri_nz
  case 8: return test8ri_s
  case 9: return test8ri_ns
  case 14: return test8ri_le
  case 15: return test8ri_g
  default: return nil
  }
}
@inline(__always) private func test8ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, Zero.self) }
@inline(__always) private func test8ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, NotZero.self) }
@inline(__always) private func test8ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, Sign.self) }
@inline(__always) private func test8ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, NoSign.self) }
@inline(__always) private func test8ri_le(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, LessOrEqual.self) }
@inline(__always) private func test8ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt8.self, Test.self, Greater.self) }

func fuseTest8mi(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test8mi_z
  case 5: return test8mi_nz
  case 8: return test8mi_s
  case 9: return test8mi_ns
  case 14: return test8mi_le
  case 15: return test8mi_g
  default: return nil
  }
}
@inline(__always) private func test8mi_z(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, Zero.self) }
@inline(__always) private func test8mi_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, NotZero.self) }
@inline(__always) private func test8mi_s(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, Sign.self) }
@inline(__always) private func test8mi_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, NoSign.self) }
@inline(__always) private func test8mi_le(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, LessOrEqual.self) }
@inline(__always) private func test8mi_g(_ c: CPU, _ o: Operation) -> Operation? { fusedMI(c, o, UInt8.self, Test.self, Greater.self) }

func fuseTest32rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test32rr_z
  case 5: return test32rr_nz
  case 8: return test32rr_s
  case 9: return test32rr_ns
  case 14: return test32rr_le
  case 15: return test32rr_g
  default: return nil
  }
}
@inline(__always) private func test32rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Test.self, Zero.self) }
@inline(__always) private func test32rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Test.self, NotZero.self) }
@inline(__always) private func test32rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Test.self, Sign.self) }
@inline(__always) private func test32rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Test.self, NoSign.self) }
@inline(__always) private func test32rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt32.self, Test.self, LessOrEqual.self)
}
@inline(__always) private func test32rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, Test.self, Greater.self) }

func fuseTest32ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test32ri_z
  case 5: return test32ri_nz
  case 8: return test32ri_s
  case 9: return test32ri_ns
  case 14: return test32ri_le
  case 15: return test32ri_g
  default: return nil
  }
}
@inline(__always) private func test32ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Test.self, Zero.self) }
@inline(__always) private func test32ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Test.self, NotZero.self) }
@inline(__always) private func test32ri_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Test.self, Sign.self) }
@inline(__always) private func test32ri_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Test.self, NoSign.self) }
@inline(__always) private func test32ri_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Test.self, LessOrEqual.self)
}
@inline(__always) private func test32ri_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Test.self, Greater.self) }

func fuseTest64rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return test64rr_z
  case 5: return test64rr_nz
  case 8: return test64rr_s
  case 9: return test64rr_ns
  case 14: return test64rr_le
  case 15: return test64rr_g
  default: return nil
  }
}
@inline(__always) private func test64rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Test.self, Zero.self) }
@inline(__always) private func test64rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Test.self, NotZero.self) }
@inline(__always) private func test64rr_s(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Test.self, Sign.self) }
@inline(__always) private func test64rr_ns(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Test.self, NoSign.self) }
@inline(__always) private func test64rr_le(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRR(c, o, UInt64.self, Test.self, LessOrEqual.self)
}
@inline(__always) private func test64rr_g(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt64.self, Test.self, Greater.self) }
