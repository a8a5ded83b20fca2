import Testing

@testable import Hypervisor

struct CPUPolicyTests {
  private func context(xcr0: UInt64 = 7, osxsave: Bool = true) -> CPUPolicy.Context {
    CPUPolicy.Context(
      xcr0: xcr0, osxsave: osxsave, cyclesPerSecond: 2_000_000_000, scale: TimeScale(cyclesPerSecond: 2_000_000_000))
  }
  private func leaf(_ policy: CPUPolicy, _ leaf: UInt32, _ subleaf: UInt32 = 0, xcr0: UInt64 = 7, osxsave: Bool = true) -> [UInt32] {
    let r = policy.cpuid(leaf, subleaf, context(xcr0: xcr0, osxsave: osxsave))
    return [r.0, r.1, r.2, r.3]
  }

  /// The default model, whole: a guest must see the same on every host and in every version.
  @Test func theDefaultModel() {
    let p = CPUPolicy(level: .v3)
    #expect(leaf(p, 0) == [0x16, 0x756E_6547, 0x6C65_746E, 0x4965_6E69])
    #expect(leaf(p, 1) == [0x30661, 0x10800, 0xFED8_3203, 0x0789_8BF5])
    #expect(leaf(p, 7) == [0, 0x200C_0329, 0, 0x10])
    #expect(leaf(p, 7, 1) == [0, 0, 0, 0])
    #expect(leaf(p, 0xD) == [7, 0x340, 0x340, 0])
    #expect(leaf(p, 0xD, 1) == [7, 0x340, 0, 0])
    #expect(leaf(p, 0xD, 2) == [0x100, 0x240, 0, 0])
    #expect(leaf(p, 0x16) == [2000, 2000, 100, 0])
    #expect(leaf(p, 0x8000_0000)[0] == 0x8000_0008)
    #expect(leaf(p, 0x8000_0001) == [0, 0, 0x121, 0x2810_0800])
    #expect(leaf(p, 0x8000_0007) == [0, 0, 0, 0x100])
    #expect(leaf(p, 0x8000_0008) == [0x3028, 0, 0, 0])
    for empty in [5, 6, 0xA, 0xB, 0x14, 0x15, 0x17, 0x8000_0009, 0x4000_0006, 0x2000_0000] as [UInt32] {
      #expect(leaf(p, empty) == [0, 0, 0, 0])
    }
  }

  @Test func levelsAreThoseOfThePsABI() {
    let v1 = CPUPolicy(level: .v1)
    #expect(!v1.has("ssse3") && !v1.has("cx16") && !v1.has("avx") && v1.has("sse2") && v1.has("rdrand"))
    let v2 = CPUPolicy(level: .v2)
    #expect(v2.has("sse4.2") && v2.has("popcnt") && v2.has("cx16") && v2.has("lahf_lm") && !v2.has("avx") && !v2.has("xsave"))
    let v3 = CPUPolicy(level: .v3)
    for name in ["avx2", "bmi1", "bmi2", "f16c", "fma", "lzcnt", "movbe", "xsave"] { #expect(v3.has(name)) }
    for name in ["aes", "pclmulqdq", "sha", "rdrand", "rdseed", "adx", "fsgsbase"] { #expect(v3.has(name)) }
    #expect(leaf(v1, 0xD) == [0, 0, 0, 0])
    #expect(leaf(v1, 1)[2] & (1 << 27) == 0)
    #expect(v1.supportedXCR0 == 0 && v3.supportedXCR0 == 7)
  }

  @Test func extendedStateSizesFollowXCR0() {
    let p = CPUPolicy(level: .v3)
    #expect(leaf(p, 0xD, 0, xcr0: 3)[1] == 0x240)
    #expect(leaf(p, 0xD, 0, xcr0: 1)[1] == 0x240)
    #expect(p.allowsXCR0(7) && p.allowsXCR0(3) && p.allowsXCR0(1))
    #expect(!p.allowsXCR0(0) && !p.allowsXCR0(5) && !p.allowsXCR0(6) && !p.allowsXCR0(15))
  }

  @Test func toggles() throws {
    let p = try CPUPolicy(parsing: "v3,-avx,+rdpid")
    #expect(!p.has("avx") && !p.has("avx2") && !p.has("fma") && p.has("xsave") && p.has("rdpid"))
    #expect(p.supportedXCR0 == 3)
    let q = try CPUPolicy(parsing: "v1,+avx2")
    #expect(q.has("avx") && q.has("xsave") && q.has("ssse3") && q.has("avx2"))
    #expect(throws: CPUPolicy.ParseError.unknownLevel("v9")) { try CPUPolicy(parsing: "v9") }
    #expect(throws: CPUPolicy.ParseError.unknownFeature("warp")) { try CPUPolicy(parsing: "v3,+warp") }
    #expect(throws: CPUPolicy.ParseError.notAToggle("avx")) { try CPUPolicy(parsing: "v3,avx") }
    #expect(try CPUPolicy(parsing: "v3") == CPUPolicy(level: .v3))
  }

  @Test func hypervisorLeaves() {
    let p = CPUPolicy(level: .v3)
    #expect(leaf(p, 0x4000_0000) == [0x4000_0005, 0x566E_6558, 0x6558_4D4D, 0x4D4D_566E])
    #expect(leaf(p, 0x4000_0001) == [0x0004_0011, 0, 0, 0])
    #expect(leaf(p, 0x4000_0002) == [1, 0x4000_0000, 1, 0])
    #expect(leaf(p, 0x4000_0003, 1) == [0, 0, 0x8000_0000, 0])
    #expect(leaf(p, 0x4000_0003, 2) == [2_000_000, 0, 0, 0])
    #expect(leaf(p, 0x4000_0005)[1] <= 44)
  }

  @Test func theBrandStringNamesTheLevel() {
    let p = CPUPolicy(level: .max)
    var text: [UInt8] = []
    for part in 2...4 as ClosedRange<UInt32> {
      for register in leaf(p, 0x8000_0000 + part) { text += (0..<4).map { UInt8(truncatingIfNeeded: register >> ($0 * 8)) } }
    }
    #expect(String(decoding: text.prefix { $0 != 0 }, as: UTF8.self) == "Paravane virtual CPU max")
  }

  /// Nothing outside Xen's mask for PV guests shows, whatever the level.
  @Test func hiddenFeaturesStayHidden() {
    for level in CPUPolicy.Level.allCases {
      let p = CPUPolicy(level: level)
      #expect(leaf(p, 1)[3] & ~0x1FC9_CBF5 == 0)
      #expect(leaf(p, 1)[2] & ~0xFED8_3203 == 0)
      #expect(leaf(p, 7)[1] & ~0xF1AF_0B29 == 0)
      #expect(leaf(p, 7)[2] & ~0x0240_5F43 == 0)
      #expect(leaf(p, 7)[3] & ~0xAC80_4410 == 0)
    }
  }

  /// The quirk that decides whether Linux uses AVX: the prefixed view has OSXSAVE in kernel mode before the guest sets it.
  @Test func theKernelsViewHasOSXSAVE() throws {
    let h = try EventsHarness()
    func prefixed() -> UInt64 {
      h.put(code: [0x0F, 0x0B, 0x78, 0x65, 0x6E, 0x0F, 0xA2])
      h.cpu.pointee.gpr.0 = 1
      h.cpu.pointee.gpr.1 = 0
      h.domain.handle(.exception(vector: 6, errorCode: nil), h.v)
      #expect(h.cpu.pointee.rip == EventsHarness.code + 7)
      return h.cpu.pointee.gpr.1
    }
    #expect(prefixed() == 0xFED8_3203)
    h.enterUser()
    #expect(prefixed() == 0xF6D8_3203)
    h.v.setCR4(1 << 18)
    #expect(prefixed() == 0xFED8_3203)
    #expect(h.v.vcpu.cpuid(1, 0).2 == 0xFED8_3203)
  }

  @Test func everyRowOfTheTableIsRead() {
    #expect(CPUFeatureTable.rows.count == CPUFeatureTable.text.split(separator: "\n").count)
    for row in CPUFeatureTable.rows { for name in row.needs { #expect(CPUFeatureTable.row(name) != nil) } }
  }
}
