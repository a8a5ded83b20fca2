import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

@inline(__always) func mov8rr(_ c: CPU, _ o: Operation) -> Operation? { moveRR(c, o, UInt8.self) }
@inline(__always) func mov16rr(_ c: CPU, _ o: Operation) -> Operation? { moveRR(c, o, UInt16.self) }
@inline(__always) func mov32rr(_ c: CPU, _ o: Operation) -> Operation? { moveRR(c, o, UInt32.self) }
@inline(__always) func mov64rr(_ c: CPU, _ o: Operation) -> Operation? { moveRR(c, o, UInt64.self) }
@inline(__always) func mov8ri(_ c: CPU, _ o: Operation) -> Operation? { moveRI(c, o, UInt8.self) }
@inline(__always) func mov16ri(_ c: CPU, _ o: Operation) -> Operation? { moveRI(c, o, UInt16.self) }
@inline(__always) func mov32ri(_ c: CPU, _ o: Operation) -> Operation? { moveRI(c, o, UInt32.self) }
@inline(__always) func mov64ri(_ c: CPU, _ o: Operation) -> Operation? { moveRI(c, o, UInt64.self) }
@inline(__always) func mov8rm(_ c: CPU, _ o: Operation) -> Operation? { moveRM(c, o, UInt8.self) }
@inline(__always) func mov16rm(_ c: CPU, _ o: Operation) -> Operation? { moveRM(c, o, UInt16.self) }
@inline(__always) func mov32rm(_ c: CPU, _ o: Operation) -> Operation? { moveRM(c, o, UInt32.self) }
@inline(__always) func mov64rm(_ c: CPU, _ o: Operation) -> Operation? { moveRM(c, o, UInt64.self) }
@inline(__always) func mov8mr(_ c: CPU, _ o: Operation) -> Operation? { moveMR(c, o, UInt8.self) }
@inline(__always) func mov16mr(_ c: CPU, _ o: Operation) -> Operation? { moveMR(c, o, UInt16.self) }
@inline(__always) func mov32mr(_ c: CPU, _ o: Operation) -> Operation? { moveMR(c, o, UInt32.self) }
@inline(__always) func mov64mr(_ c: CPU, _ o: Operation) -> Operation? { moveMR(c, o, UInt64.self) }
@inline(__always) func mov8mi(_ c: CPU, _ o: Operation) -> Operation? { moveMI(c, o, UInt8.self) }
@inline(__always) func mov16mi(_ c: CPU, _ o: Operation) -> Operation? { moveMI(c, o, UInt16.self) }
@inline(__always) func mov32mi(_ c: CPU, _ o: Operation) -> Operation? { moveMI(c, o, UInt32.self) }
@inline(__always) func mov64mi(_ c: CPU, _ o: Operation) -> Operation? { moveMI(c, o, UInt64.self) }
@inline(__always) func load32Flat(_ c: CPU, _ o: Operation) -> Operation? { load(c, o, UInt32.self, Flat.self) }
@inline(__always) func store32Flat(_ c: CPU, _ o: Operation) -> Operation? { store(c, o, UInt32.self, Flat.self) }
@inline(__always) func lea32Flat(_ c: CPU, _ o: Operation) -> Operation? { loadAddress(c, o, UInt32.self, Flat.self) }
@inline(__always) func load32Indexed(_ c: CPU, _ o: Operation) -> Operation? { load(c, o, UInt32.self, Indexed.self) }
@inline(__always) func store32Indexed(_ c: CPU, _ o: Operation) -> Operation? { store(c, o, UInt32.self, Indexed.self) }
@inline(__always) func lea32Indexed(_ c: CPU, _ o: Operation) -> Operation? { loadAddress(c, o, UInt32.self, Indexed.self) }
@inline(__always) func lea16(_ c: CPU, _ o: Operation) -> Operation? { loadAddressGeneral(c, o, UInt16.self) }
@inline(__always) func lea32(_ c: CPU, _ o: Operation) -> Operation? { loadAddressGeneral(c, o, UInt32.self) }
@inline(__always) func lea64(_ c: CPU, _ o: Operation) -> Operation? { loadAddressGeneral(c, o, UInt64.self) }
@inline(__always) func load64Flat(_ c: CPU, _ o: Operation) -> Operation? { load(c, o, UInt64.self, Flat.self) }
@inline(__always) func store64Flat(_ c: CPU, _ o: Operation) -> Operation? { store(c, o, UInt64.self, Flat.self) }
@inline(__always) func lea64Flat(_ c: CPU, _ o: Operation) -> Operation? { loadAddress(c, o, UInt64.self, Flat.self) }
@inline(__always) func load64Indexed(_ c: CPU, _ o: Operation) -> Operation? { load(c, o, UInt64.self, Indexed.self) }
@inline(__always) func store64Indexed(_ c: CPU, _ o: Operation) -> Operation? { store(c, o, UInt64.self, Indexed.self) }
@inline(__always) func lea64Indexed(_ c: CPU, _ o: Operation) -> Operation? { loadAddress(c, o, UInt64.self, Indexed.self) }
@inline(__always) func movzx16_8rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt16.self, from: UInt8.self) }
@inline(__always) func movzx16_8rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt16.self, from: UInt8.self) }
@inline(__always) func movzx32_8rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt32.self, from: UInt8.self) }
@inline(__always) func movzx32_8rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt32.self, from: UInt8.self) }
@inline(__always) func movzx64_8rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt64.self, from: UInt8.self) }
@inline(__always) func movzx64_8rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt64.self, from: UInt8.self) }
@inline(__always) func movzx32_16rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt32.self, from: UInt16.self) }
@inline(__always) func movzx32_16rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt32.self, from: UInt16.self) }
@inline(__always) func movzx64_16rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt64.self, from: UInt16.self) }
@inline(__always) func movzx64_16rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt64.self, from: UInt16.self) }
@inline(__always) func movzx16_16rr(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRR(c, o, to: UInt16.self, from: UInt16.self) }
@inline(__always) func movzx16_16rm(_ c: CPU, _ o: Operation) -> Operation? { zeroExtendRM(c, o, to: UInt16.self, from: UInt16.self) }
@inline(__always) func movsx16_8rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt16.self, from: UInt8.self) }
@inline(__always) func movsx16_8rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt16.self, from: UInt8.self) }
@inline(__always) func movsx32_8rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt32.self, from: UInt8.self) }
@inline(__always) func movsx32_8rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt32.self, from: UInt8.self) }
@inline(__always) func movsx64_8rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt64.self, from: UInt8.self) }
@inline(__always) func movsx64_8rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt64.self, from: UInt8.self) }
@inline(__always) func movsx32_16rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt32.self, from: UInt16.self) }
@inline(__always) func movsx32_16rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt32.self, from: UInt16.self) }
@inline(__always) func movsx64_16rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt64.self, from: UInt16.self) }
@inline(__always) func movsx64_16rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt64.self, from: UInt16.self) }
@inline(__always) func movsx16_16rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt16.self, from: UInt16.self) }
@inline(__always) func movsx16_16rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt16.self, from: UInt16.self) }
@inline(__always) func movsx64_32rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt64.self, from: UInt32.self) }
@inline(__always) func movsx64_32rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt64.self, from: UInt32.self) }
@inline(__always) func movsx32_32rr(_ c: CPU, _ o: Operation) -> Operation? { signExtendRR(c, o, to: UInt32.self, from: UInt32.self) }
@inline(__always) func movsx32_32rm(_ c: CPU, _ o: Operation) -> Operation? { signExtendRM(c, o, to: UInt32.self, from: UInt32.self) }
