import CHost
import X86

// One named function per operation, form and size: each becomes a C function of its own without a thunk in between, and has a
// name in a profile.

func registerConditionals(_ table: inout LoweringTable) {
  table.register("jo") { lowerBranch($0, &$1, 0, jo) }
  table.register("seto") { lowerSet($0, &$1, 0, seto8r) }
  table.register("cmovo") { lowerMove($0, &$1, 0, cmovo32rr, cmovo64rr) }
  table.register("jno") { lowerBranch($0, &$1, 1, jno) }
  table.register("setno") { lowerSet($0, &$1, 1, setno8r) }
  table.register("cmovno") { lowerMove($0, &$1, 1, cmovno32rr, cmovno64rr) }
  table.register("jb") { lowerBranch($0, &$1, 2, jb) }
  table.register("setb") { lowerSet($0, &$1, 2, setb8r) }
  table.register("cmovb") { lowerMove($0, &$1, 2, cmovb32rr, cmovb64rr) }
  table.register("jae") { lowerBranch($0, &$1, 3, jae) }
  table.register("setae") { lowerSet($0, &$1, 3, setae8r) }
  table.register("cmovae") { lowerMove($0, &$1, 3, cmovae32rr, cmovae64rr) }
  table.register("jz") { lowerBranch($0, &$1, 4, jz) }
  table.register("setz") { lowerSet($0, &$1, 4, setz8r) }
  table.register("cmovz") { lowerMove($0, &$1, 4, cmovz32rr, cmovz64rr) }
  table.register("jnz") { lowerBranch($0, &$1, 5, jnz) }
  table.register("setnz") { lowerSet($0, &$1, 5, setnz8r) }
  table.register("cmovnz") { lowerMove($0, &$1, 5, cmovnz32rr, cmovnz64rr) }
  table.register("jbe") { lowerBranch($0, &$1, 6, jbe) }
  table.register("setbe") { lowerSet($0, &$1, 6, setbe8r) }
  table.register("cmovbe") { lowerMove($0, &$1, 6, cmovbe32rr, cmovbe64rr) }
  table.register("ja") { lowerBranch($0, &$1, 7, ja) }
  table.register("seta") { lowerSet($0, &$1, 7, seta8r) }
  table.register("cmova") { lowerMove($0, &$1, 7, cmova32rr, cmova64rr) }
  table.register("js") { lowerBranch($0, &$1, 8, js) }
  table.register("sets") { lowerSet($0, &$1, 8, sets8r) }
  table.register("cmovs") { lowerMove($0, &$1, 8, cmovs32rr, cmovs64rr) }
  table.register("jns") { lowerBranch($0, &$1, 9, jns) }
  table.register("setns") { lowerSet($0, &$1, 9, setns8r) }
  table.register("cmovns") { lowerMove($0, &$1, 9, cmovns32rr, cmovns64rr) }
  table.register("jp") { lowerBranch($0, &$1, 10, jp) }
  table.register("setp") { lowerSet($0, &$1, 10, setp8r) }
  table.register("cmovp") { lowerMove($0, &$1, 10, cmovp32rr, cmovp64rr) }
  table.register("jnp") { lowerBranch($0, &$1, 11, jnp) }
  table.register("setnp") { lowerSet($0, &$1, 11, setnp8r) }
  table.register("cmovnp") { lowerMove($0, &$1, 11, cmovnp32rr, cmovnp64rr) }
  table.register("jl") { lowerBranch($0, &$1, 12, jl) }
  table.register("setl") { lowerSet($0, &$1, 12, setl8r) }
  table.register("cmovl") { lowerMove($0, &$1, 12, cmovl32rr, cmovl64rr) }
  table.register("jge") { lowerBranch($0, &$1, 13, jge) }
  table.register("setge") { lowerSet($0, &$1, 13, setge8r) }
  table.register("cmovge") { lowerMove($0, &$1, 13, cmovge32rr, cmovge64rr) }
  table.register("jle") { lowerBranch($0, &$1, 14, jle) }
  table.register("setle") { lowerSet($0, &$1, 14, setle8r) }
  table.register("cmovle") { lowerMove($0, &$1, 14, cmovle32rr, cmovle64rr) }
  table.register("jg") { lowerBranch($0, &$1, 15, jg) }
  table.register("setg") { lowerSet($0, &$1, 15, setg8r) }
  table.register("cmovg") { lowerMove($0, &$1, 15, cmovg32rr, cmovg64rr) }
}

@inline(__always) private func jo(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Overflow.self) }
@inline(__always) private func seto8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Overflow.self) }
@inline(__always) private func cmovo32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Overflow.self) }
@inline(__always) private func cmovo64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Overflow.self) }
@inline(__always) private func jno(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, NoOverflow.self) }
@inline(__always) private func setno8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, NoOverflow.self) }
@inline(__always) private func cmovno32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, NoOverflow.self) }
@inline(__always) private func cmovno64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, NoOverflow.self) }
@inline(__always) private func jb(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Below.self) }
@inline(__always) private func setb8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Below.self) }
@inline(__always) private func cmovb32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Below.self) }
@inline(__always) private func cmovb64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Below.self) }
@inline(__always) private func jae(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, AboveOrEqual.self) }
@inline(__always) private func setae8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, AboveOrEqual.self) }
@inline(__always) private func cmovae32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, AboveOrEqual.self) }
@inline(__always) private func cmovae64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, AboveOrEqual.self) }
@inline(__always) private func jz(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Zero.self) }
@inline(__always) private func setz8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Zero.self) }
@inline(__always) private func cmovz32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Zero.self) }
@inline(__always) private func cmovz64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Zero.self) }
@inline(__always) private func jnz(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, NotZero.self) }
@inline(__always) private func setnz8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, NotZero.self) }
@inline(__always) private func cmovnz32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, NotZero.self) }
@inline(__always) private func cmovnz64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, NotZero.self) }
@inline(__always) private func jbe(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, BelowOrEqual.self) }
@inline(__always) private func setbe8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, BelowOrEqual.self) }
@inline(__always) private func cmovbe32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, BelowOrEqual.self) }
@inline(__always) private func cmovbe64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, BelowOrEqual.self) }
@inline(__always) private func ja(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Above.self) }
@inline(__always) private func seta8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Above.self) }
@inline(__always) private func cmova32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Above.self) }
@inline(__always) private func cmova64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Above.self) }
@inline(__always) private func js(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Sign.self) }
@inline(__always) private func sets8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Sign.self) }
@inline(__always) private func cmovs32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Sign.self) }
@inline(__always) private func cmovs64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Sign.self) }
@inline(__always) private func jns(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, NoSign.self) }
@inline(__always) private func setns8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, NoSign.self) }
@inline(__always) private func cmovns32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, NoSign.self) }
@inline(__always) private func cmovns64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, NoSign.self) }
@inline(__always) private func jp(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Parity.self) }
@inline(__always) private func setp8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Parity.self) }
@inline(__always) private func cmovp32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Parity.self) }
@inline(__always) private func cmovp64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Parity.self) }
@inline(__always) private func jnp(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, NoParity.self) }
@inline(__always) private func setnp8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, NoParity.self) }
@inline(__always) private func cmovnp32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, NoParity.self) }
@inline(__always) private func cmovnp64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, NoParity.self) }
@inline(__always) private func jl(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Less.self) }
@inline(__always) private func setl8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Less.self) }
@inline(__always) private func cmovl32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Less.self) }
@inline(__always) private func cmovl64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Less.self) }
@inline(__always) private func jge(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, GreaterOrEqual.self) }
@inline(__always) private func setge8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, GreaterOrEqual.self) }
@inline(__always) private func cmovge32rr(_ c: CPU, _ o: Operation) -> Operation? {
  conditionalMove(c, o, UInt32.self, GreaterOrEqual.self)
}
@inline(__always) private func cmovge64rr(_ c: CPU, _ o: Operation) -> Operation? {
  conditionalMove(c, o, UInt64.self, GreaterOrEqual.self)
}
@inline(__always) private func jle(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, LessOrEqual.self) }
@inline(__always) private func setle8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, LessOrEqual.self) }
@inline(__always) private func cmovle32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, LessOrEqual.self) }
@inline(__always) private func cmovle64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, LessOrEqual.self) }
@inline(__always) private func jg(_ c: CPU, _ o: Operation) -> Operation? { branch(c, o, Greater.self) }
@inline(__always) private func setg8r(_ c: CPU, _ o: Operation) -> Operation? { setR(c, o, Greater.self) }
@inline(__always) private func cmovg32rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt32.self, Greater.self) }
@inline(__always) private func cmovg64rr(_ c: CPU, _ o: Operation) -> Operation? { conditionalMove(c, o, UInt64.self, Greater.self) }
