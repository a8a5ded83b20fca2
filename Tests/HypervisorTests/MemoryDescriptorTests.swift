import Processor
import Testing

@testable import Hypervisor

@Suite struct MemoryDescriptorTests {
  func read(_ f: MemoryFixture, _ selector: UInt16) -> UInt64? {
    guard case .descriptor(let d) = f.tables.descriptor(f.v, selector) else { return nil }
    return d
  }

  @Test func reservedSelectors() throws {
    let f = try MemoryFixture()
    #expect(read(f, 0xE033) == 0x00AF_FB00_0000_FFFF)
    #expect(read(f, 0xE02B) == 0x00CF_F300_0000_FFFF)
    #expect(read(f, 0xE023) == 0x00CF_FB00_0000_FFFF)
    #expect(read(f, 0x10) == 0)
    guard case .outside = f.tables.descriptor(f.v, 0xF000) else { throw XenError.invalid }
    guard case .outside = f.tables.descriptor(f.v, 0x0C) else { throw XenError.invalid }
  }

  @Test func gdt() throws {
    let f = try MemoryFixture()
    f.raw(30, 2, 0x00AF_9A00_0000_FFFF)
    f.raw(30, 3, 0x00CF_9200_0000_FFFF)
    func set(_ frames: [UInt64], _ entries: UInt64) -> Int64 {
      MemoryHypercalls.setGDT(f.domain, f.v, HypercallArguments(f.put(frames, at: 64), entries))
    }
    #expect(set([f.mfn(30)], 16) == XenError.invalid.result)
    f.protect(30)
    #expect(set([f.mfn(30)], 16) == 0)
    #expect(read(f, 0x13) == 0x00AF_FA00_0000_FFFF)
    #expect(f.entry(30, 3) == 0x00CF_F200_0000_FFFF)
    #expect(f.unprotect(30) == XenError.busy.result)
    #expect(set([f.mfn(30)], 7169) == XenError.invalid.result)
    #expect(MemoryHypercalls.setGDT(f.domain, f.v, HypercallArguments(0x1000, 16)) == XenError.fault.result)
    f.protect(31)
    f.raw(31, 0, 0x0000_8900_0000_0067)
    #expect(set([f.mfn(31)], 16) == XenError.invalid.result)
    #expect(set([f.mfn(30), f.mfn(62)], 1000) == XenError.invalid.result)
    #expect(f.v.gdtFrames == [f.mfn(30)])
    #expect(f.tables.checkInvariants() == [])
    #expect(set([], 0) == 0)
    #expect(f.unprotect(30) == 0)
    #expect(f.tables.checkInvariants() == [])
  }

  @Test func updateDescriptor() throws {
    let f = try MemoryFixture()
    func update(_ address: UInt64, _ d: UInt64) -> Int64 {
      MemoryHypercalls.updateDescriptor(f.domain, f.v, HypercallArguments(address, d))
    }
    let at = f.address(20, 4)
    #expect(update(at, 0x00CF_9200_0000_FFFF) == 0 && f.entry(20, 4) == 0x00CF_F200_0000_FFFF)
    #expect(update(at, 0x0000_EC00_0008_0000) == 0 && f.entry(20, 4) == 0x0000_8C00_000B_0000)
    #expect(update(at, 0x0000_1234_5678_0000) == 0 && f.entry(20, 4) == 0x0000_1234_5678_0000)
    #expect(update(at, 0x0000_8900_0000_0067) == XenError.invalid.result)
    #expect(update(at + 4, 0) == XenError.invalid.result)
    #expect(update(f.frames.frameCount << 12, 0) == XenError.invalid.result)
    #expect(update(f.address(62, 0), 0) == XenError.invalid.result)
  }

  @Test func ldt() throws {
    let f = try MemoryFixture()
    let at = f.linear(30)
    f.raw(30, 1, 0x00CF_9200_0000_FFFF)
    #expect(f.ext(13, at + 8, 8) == XenError.invalid.result)
    #expect(f.ext(13, at, 8193) == XenError.invalid.result)
    #expect(f.ext(13, 0x8000_0000_0000, 8) == XenError.invalid.result)
    #expect(f.ext(13, at, 8) == 0)
    guard case .pageFault(0, at + 8) = f.tables.descriptor(f.v, 0x0F) else { throw XenError.invalid }
    f.protect(30)
    #expect(read(f, 0x0F) == 0x00CF_F200_0000_FFFF)
    #expect(read(f, 0x07) == 0)
    guard case .outside = f.tables.descriptor(f.v, 0x47) else { throw XenError.invalid }
    #expect(f.unprotect(30) == XenError.busy.result)
    #expect(f.tables.checkInvariants() == [])
    #expect(f.ext(13, 0, 0) == 0)
    #expect(f.unprotect(30) == 0)
    guard case .outside = f.tables.descriptor(f.v, 0x0F) else { throw XenError.invalid }
    // Unmapping it takes it out of use.
    f.protect(30)
    #expect(f.ext(13, at, 8) == 0)
    #expect(read(f, 0x0F) != nil)
    #expect(f.map(at, 0) == 0)
    #expect(f.frames.info[Int(f.mfn(30))].type == .none)
    guard case .pageFault(0, at + 8) = f.tables.descriptor(f.v, 0x0F) else { throw XenError.invalid }
    #expect(f.tables.checkInvariants() == [])
  }
}
