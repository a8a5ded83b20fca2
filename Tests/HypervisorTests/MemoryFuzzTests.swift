import GuestMemory
import Processor
import Random
import Testing

@testable import Hypervisor

/// Random operations on few pages, so that tables point at each other in every way: the counts must stay exact, and the
/// translations of both vCPUs must never differ from what the tables say.
@Suite struct MemoryFuzzTests {
  @Test(arguments: [1, 2, 3, 4, 5, 6])
  func countsStayExact(seed: UInt64) throws {
    let f = try MemoryFixture(order: seed.isMultiple(of: 2) ? .scattered(seed: seed) : .identity, vcpus: 2)
    var g = SeededRandom(seed: seed)
    f.domain.assists = 4
    for pfn in 40...59 { f.protect(pfn) }
    var done = 0
    var recent: [UInt64] = []
    for step in 0..<4000 {
      let v = f.domain.vcpus[Int.random(in: 0...1, using: &g)]
      let result = operation(f, v, &g)
      if result >= 0 { done += 1 }
      if f.v.kernelTable != f.mfn(60) { _ = f.tables.loadTables(f.v, kernel: f.mfn(60)) }
      compareTranslations(f, &g, &recent)
      if step % 16 == 0 {
        let problems = f.tables.checkInvariants()
        #expect(problems == [], "seed \(seed) step \(step)")
        if !problems.isEmpty { return }
      }
    }
    #expect(f.tables.checkInvariants() == [])
    // The run must not have been a string of refusals.
    #expect(done > 800, "\(done)")
  }

  private func frame(_ f: MemoryFixture, _ g: inout SeededRandom) -> UInt64 {
    switch Int.random(in: 0..<40, using: &g) {
    case 0: return f.frames.frameCount + 5
    case 1: return f.frames.m2pBase
    case 2: return f.domain.sharedInfoFrame
    case 3: return f.mfn(Int.random(in: 0..<40, using: &g))
    case 4...7: return f.mfn(Int.random(in: 60..<64, using: &g))
    default: return f.mfn(Int.random(in: 40..<60, using: &g))
    }
  }

  private func value(_ f: MemoryFixture, _ g: inout SeededRandom) -> UInt64 {
    let flags: [UInt64] = [0x67, 0x65, 0x63, 0x61, 0x25, 0x27, 0x05, 0x64, 0, 1 << 63 | 0x67, 0xE7, 0x6F]
    return frame(f, &g) << 12 | flags.randomElement(using: &g)!
  }

  private func operation(_ f: MemoryFixture, _ v: PVCPU, _ g: inout SeededRandom) -> Int64 {
    let slot = [0, 1, 2, 100, 256, 272, 273, 511].randomElement(using: &g)!
    let tables = f.tables
    switch Int.random(in: 0..<24, using: &g) {
    case 0...7:
      let address = frame(f, &g) << 12 + UInt64(slot * 8)
      // The map that the test itself stands on stays.
      let mfn = address >> 12
      if mfn == f.mfn(60) && slot == 273 || (mfn == f.mfn(61) || mfn == f.mfn(62)) && slot == 0 { return -1 }
      return tables.update(address, value(f, &g), preserveAccessed: Bool.random(using: &g))
    case 8...9: return tables.updateVAMapping(root: v.kernelTable, f.linear(Int.random(in: 0..<120, using: &g)), value(f, &g))
    case 10...12: return tables.pin(frame(f, &g), [.l1, .l2, .l3, .l4].randomElement(using: &g)!)
    case 13...14:
      let mfn = frame(f, &g)
      return mfn == f.mfn(60) ? -1 : tables.unpin(mfn)
    case 15: return tables.setKernelTable(v, frame(f, &g))
    case 16: return tables.setUserTable(v, Bool.random(using: &g) ? 0 : frame(f, &g))
    case 17:
      let size = [1, 2, 4, 8].randomElement(using: &g)!
      let address = frame(f, &g) << 12 + UInt64(slot * 8 + Int.random(in: 0..<8, using: &g))
      return tables.store(value(f, &g), size: size, at: address, probe: false) ? 0 : -1
    case 18:
      let list = (0..<Int.random(in: 0...3, using: &g)).map { _ in frame(f, &g) }
      return tables.setGDT(v, list, entries: list.count * 512)
    case 19:
      let count = UInt64(Int.random(in: 0...1024, using: &g))
      return tables.setLDT(v, f.linear(Int.random(in: 40..<60, using: &g)), count)
    case 20:
      _ = tables.descriptor(v, UInt16.random(in: 0...0xFFFF, using: &g) | 4)
      return -1
    case 21:
      let pfn = Int.random(in: 40..<60, using: &g)
      return f.frames.release(f.mfn(pfn)) ? 0 : -1
    case 22: return f.frames.allocateGuestFrame().map { _ in 0 } ?? -1
    default: return Bool.random(using: &g) ? tables.clearPage(frame(f, &g)) : tables.copyPage(from: frame(f, &g), to: frame(f, &g))
    }
  }

  /// Looks at addresses that were mapped lately, so that translations are held while the tables change, and at others.
  private func compareTranslations(_ f: MemoryFixture, _ g: inout SeededRandom, _ recent: inout [UInt64]) {
    let slots: [UInt64] = [0, 1, 2, 100]
    var linear = Bool.random(using: &g) ? MemoryFixture.base : 0
    for shift: UInt64 in [30, 21, 12] { linear |= slots.randomElement(using: &g)! << shift }
    for v in f.domain.vcpus {
      for address in recent + [linear] {
        defer { v.vcpu.touch(address) }
        for access in [VCPU.GuestAccess.read, .write] {
          let cached = v.vcpu.translate(address, access)
          let walked = walk(f, v.kernelTable, address, write: access == .write)
          #expect(cached == walked, "\(String(address, radix: 16)) \(access)")
        }
      }
    }
    guard walk(f, f.v.kernelTable, linear, write: false) != nil, !recent.contains(linear) else { return }
    if recent.count == 12 { recent.removeFirst() }
    recent.append(linear)
  }

  /// The test's own walk.
  private func walk(_ f: MemoryFixture, _ root: UInt64, _ linear: UInt64, write: Bool) -> UInt64? {
    var table = root
    for shift: UInt64 in [39, 30, 21, 12] {
      guard let e: UInt64 = f.memory.load(table << 12 + ((linear >> shift) & 511) * 8), e & 1 != 0 else { return nil }
      if write && e & 2 == 0 { return nil }
      table = (e & 0xF_FFFF_FFFF_F000) >> 12
    }
    return table << 12 | linear & 4095
  }
}
