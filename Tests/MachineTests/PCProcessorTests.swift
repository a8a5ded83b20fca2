import Hypervisor
import Testing

@testable import Machine

@Suite struct PCProcessorTests {
  private func leaf(_ leaf: UInt32, _ subleaf: UInt32 = 0, model: CPUPolicy.Level = .v3, osxsave: Bool = true, apic: Bool = true)
    -> [UInt32]
  {
    let words = CPUPolicy(level: model).cpuid(
      leaf, subleaf,
      pc: CPUPolicy.PCContext(xcr0: 7, osxsave: osxsave, hasLocalAPIC: apic, cyclesPerSecond: 2_500_000_000, crystal: 1_000_000_000))
    return [words.0, words.1, words.2, words.3]
  }

  @Test func noHypervisorShowsItself() {
    #expect(leaf(1)[2] >> 31 == 0)
    for number: UInt32 in [0x4000_0000, 0x4000_0001, 0x4000_0100] { #expect(leaf(number) == [0, 0, 0, 0]) }
    // A PV guest of the same model has neither page size extensions nor MTRRs.
    #expect(leaf(1)[3] & (1 << 3 | 1 << 12) == 1 << 3 | 1 << 12)
    #expect(leaf(1)[0] == CPUPolicy.signature)
  }

  @Test func featuresThatRegistersSwitch() {
    #expect(leaf(1)[2] & 1 << 27 != 0 && leaf(1, osxsave: false)[2] & 1 << 27 == 0)
    #expect(leaf(1, model: .v1)[2] & 1 << 27 == 0, "no XSAVE, so no OSXSAVE")
    #expect(leaf(1)[3] & 1 << 9 != 0 && leaf(1, apic: false)[3] & 1 << 9 == 0)
  }

  @Test func frequenciesAndTopology() {
    let (denominator, numerator, crystal) = (UInt64(leaf(0x15)[0]), UInt64(leaf(0x15)[1]), UInt64(leaf(0x15)[2]))
    #expect(crystal * numerator / denominator == 2_500_000_000)
    #expect(leaf(0xB, 0) == [0, 1, 1 << 8, 0] && leaf(0xB, 1) == [0, 1, 2 << 8 | 1, 0])
    #expect(leaf(0xB, 5) == [0, 0, 5, 0])
  }

  @Test func controlBitsFollowTheFeatures() throws {
    let umip: UInt64 = 1 << 11, fsgsbase: UInt64 = 1 << 16, osxsave: UInt64 = 1 << 18
    #expect(CPUPolicy(level: .v3).offeredControlFour & (umip | fsgsbase | osxsave) == fsgsbase | osxsave)
    #expect(CPUPolicy(level: .v2).offeredControlFour & (fsgsbase | osxsave) == fsgsbase)
    #expect(try CPUPolicy(parsing: "v3,-fsgsbase").offeredControlFour & (fsgsbase | osxsave) == osxsave)
    #expect(leaf(7)[2] & 1 << 2 == 0, "nor does CPUID offer UMIP")
  }
}
