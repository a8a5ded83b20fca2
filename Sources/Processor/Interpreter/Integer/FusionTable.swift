import CHost

// The kinds of fused pairs (Fusion.swift).

/// What can be fused with the conditional branch behind it; `pv_op.src3` of such an operation holds the number.
enum Fusible: UInt16 {
  case none = 0
  case cmp8rr
  case cmp8ri
  case cmp16rr
  case cmp16ri
  case cmp32rr
  case cmp32ri
  case cmp64rr
  case cmp64ri
  case cmp8mi
  case cmp32mi
  case cmp64mi
  case cmp32rm
  case cmp64rm
  case test8rr
  case test8ri
  case test8mi
  case test32rr
  case test32ri
  case test64rr
  case sub32ri
  case sub64ri
  case add32ri
  case add64ri
  case and32ri
  case and32rr
}

/// The fused handler of a kind and a condition code, if there is one.
func fusedHandler(_ kind: Fusible, _ code: UInt8) -> pv_handler? {
  switch kind {
  case .none: return nil
  case .cmp8rr: return fuseCmp8rr(code)
  case .cmp8ri: return fuseCmp8ri(code)
  case .cmp16rr: return fuseCmp16rr(code)
  case .cmp16ri: return fuseCmp16ri(code)
  case .cmp32rr: return fuseCmp32rr(code)
  case .cmp32ri: return fuseCmp32ri(code)
  case .cmp64rr: return fuseCmp64rr(code)
  case .cmp64ri: return fuseCmp64ri(code)
  case .cmp8mi: return fuseCmp8mi(code)
  case .cmp32mi: return fuseCmp32mi(code)
  case .cmp64mi: return fuseCmp64mi(code)
  case .cmp32rm: return fuseCmp32rm(code)
  case .cmp64rm: return fuseCmp64rm(code)
  case .test8rr: return fuseTest8rr(code)
  case .test8ri: return fuseTest8ri(code)
  case .test8mi: return fuseTest8mi(code)
  case .test32rr: return fuseTest32rr(code)
  case .test32ri: return fuseTest32ri(code)
  case .test64rr: return fuseTest64rr(code)
  case .sub32ri: return fuseSub32ri(code)
  case .sub64ri: return fuseSub64ri(code)
  case .add32ri: return fuseAdd32ri(code)
  case .add64ri: return fuseAdd64ri(code)
  case .and32ri: return fuseAnd32ri(code)
  case .and32rr: return fuseAnd32rr(code)
  }
}
