import CHost

// Compare-and-branch pairs as one operation each (Fusion.swift).

func fuseSub32ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return sub32ri_z
  case 5: return sub32ri_nz
  default: return nil
  }
}
@inline(__always) private func sub32ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Subtract.self, Zero.self) }
@inline(__always) private func sub32ri_nz(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt32.self, Subtract.self, NotZero.self)
}

func fuseSub64ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return sub64ri_z
  case 5: return sub64ri_nz
  default: return nil
  }
}
@inline(__always) private func sub64ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Subtract.self, Zero.self) }
@inline(__always) private func sub64ri_nz(_ c: CPU, _ o: Operation) -> Operation? {
  fusedRI(c, o, UInt64.self, Subtract.self, NotZero.self)
}

func fuseAdd32ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return add32ri_z
  case 5: return add32ri_nz
  default: return nil
  }
}
@inline(__always) private func add32ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Add.self, Zero.self) }
@inline(__always) private func add32ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, Add.self, NotZero.self) }

func fuseAdd64ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return add64ri_z
  case 5: return add64ri_nz
  default: return nil
  }
}
@inline(__always) private func add64ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Add.self, Zero.self) }
@inline(__always) private func add64ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt64.self, Add.self, NotZero.self) }

func fuseAnd32ri(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return and32ri_z
  case 5: return and32ri_nz
  default: return nil
  }
}
@inline(__always) private func and32ri_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, And.self, Zero.self) }
@inline(__always) private func and32ri_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRI(c, o, UInt32.self, And.self, NotZero.self) }

func fuseAnd32rr(_ code: UInt8) -> pv_handler? {
  switch code {
  case 4: return and32rr_z
  case 5: return and32rr_nz
  default: return nil
  }
}
@inline(__always) private func and32rr_z(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, And.self, Zero.self) }
@inline(__always) private func and32rr_nz(_ c: CPU, _ o: Operation) -> Operation? { fusedRR(c, o, UInt32.self, And.self, NotZero.self) }
