import Testing

@testable import Hypervisor

struct GrantTableTests {
  let h: EventsHarness
  init() throws { h = try EventsHarness() }

  private func operation(_ command: UInt64, count: UInt64 = 1) -> Int64 { h.call(20, command, EventsHarness.scratch, count) }

  @Test func sizeBeforeAndAfterGrowing() {
    h.put(UInt16(0x7FF0))
    #expect(operation(6) == 0)
    #expect(h.get(4, UInt32.self) == 1)
    #expect(h.get(8, UInt32.self) == 64)
    #expect(h.get(12, Int16.self) == 0)
    h.put(UInt32(4), 4)
    h.put(EventsHarness.scratch + 0x100, 16)
    #expect(operation(2) == 0)
    #expect(h.get(8, Int16.self) == 0)
    #expect((0..<4).map { h.get(0x100 + $0 * 8, UInt64.self) } == h.domain.grants.frames)
    #expect(h.domain.grants.frames.count == 4)
    #expect(operation(6) == 0)
    #expect(h.get(4, UInt32.self) == 4)
  }

  @Test func setupRefusals() {
    h.put(UInt16(0x7FF0))
    h.put(UInt32(65), 4)
    h.put(EventsHarness.scratch + 0x100, 16)
    #expect(operation(2) == 0)
    #expect(h.get(8, Int16.self) == -1)
    h.put(UInt32(2), 4)
    h.put(UInt64(0xDEAD_0000), 16)
    #expect(operation(2) == 0)
    #expect(h.get(8, Int16.self) == -5)
    h.put(UInt16(77))
    #expect(operation(2) == 0)
    #expect(h.get(8, Int16.self) == -2)
    #expect(operation(2, count: 0) == -22)
    #expect(operation(2, count: 2) == -22)
    #expect(h.call(20, 2, 0xDEAD_0000, 1) == -14)
    #expect(operation(3) == -38)
    #expect(operation(13) == -38)
  }

  @Test func onlyVersionOne() {
    h.put(UInt32(1))
    #expect(operation(8) == 0)
    #expect(h.get(0, UInt32.self) == 1)
    h.put(UInt32(2))
    #expect(operation(8) != 0)
    h.put(UInt32(3))
    #expect(operation(8) == -22)
    h.put(UInt16(0x7FF0))
    #expect(operation(10) == 0)
    #expect(h.get(4, UInt32.self) == 1)
  }

  @Test func mapRefusals() {
    _ = h.domain.grants.grow(to: 1)
    for (reference, domain, status) in [(5, 1, -1), (100_000, 1, -3), (5, 0x7FF0, -2), (5, 44, -2)] as [(UInt32, UInt16, Int16)] {
      h.put(reference, 12)
      h.put(domain, 16)
      #expect(operation(0) == 0)
      #expect(h.get(18, Int16.self) == status)
    }
    #expect(operation(1) == 0)
    #expect(h.get(0x14, Int16.self) == -4)
  }

  @Test func aBackEndsUseShowsInTheEntry() {
    let grants = h.domain.grants
    #expect(grants.setEntry(ref: 8, flags: 1, domid: .control, frame: 20))
    let entry = grants.frames[0] << 12 + 64
    func flags() -> UInt16 { h.domain.memory.load(entry) ?? 0 }
    #expect(grants.mapForBackEnd(h.domain, 8, write: false) == .success(20 << 12))
    #expect(flags() == 0x9)
    #expect(grants.mapForBackEnd(h.domain, 8, write: true) == .success(20 << 12))
    #expect(flags() == 0x19)
    #expect(grants.isMapped(8))
    grants.unmapForBackEnd(h.domain, 8, write: true)
    #expect(flags() == 0x9)
    grants.unmapForBackEnd(h.domain, 8, write: false)
    #expect(flags() == 0x1)
    #expect(!grants.isMapped(8))
    grants.unmapForBackEnd(h.domain, 8, write: false)
    #expect(flags() == 0x1)
  }

  @Test func whatABackEndMayNotMap() {
    let grants = h.domain.grants
    #expect(grants.mapForBackEnd(h.domain, 8, write: false) == .failure(.badReference))
    grants.setEntry(ref: 8, flags: 5, domid: .control, frame: 20)
    #expect(grants.mapForBackEnd(h.domain, 8, write: true) == .failure(.generalError))
    #expect(grants.mapForBackEnd(h.domain, 8, write: false) == .success(20 << 12))
    grants.setEntry(ref: 9, flags: 1, domid: DomainID(3), frame: 20)
    #expect(grants.mapForBackEnd(h.domain, 9, write: false) == .failure(.generalError))
    grants.setEntry(ref: 10, flags: 1, domid: .control, frame: 0x7FFF_FFFF)
    #expect(grants.mapForBackEnd(h.domain, 10, write: false) == .failure(.generalError))
    #expect(grants.mapForBackEnd(h.domain, 11, write: false) == .failure(.generalError))
    #expect(grants.mapForBackEnd(h.domain, 0xFFFF_FFFF, write: false) == .failure(.badReference))
  }
}
