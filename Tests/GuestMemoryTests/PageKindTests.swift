import Testing

@testable import GuestMemory

/// What a device that moves data finds where a frame is no RAM.
struct PageKindTests {
  let memory: MachineMemory

  /// RAM, ROM, device, absent, RAM; the first bytes of each frame are its number plus 1.
  init() throws {
    memory = try MachineMemory(frameCount: 5)
    for frame in 0..<5 { memory.copyIn([UInt8](repeating: UInt8(frame + 1), count: 4096), at: UInt64(frame) << 12) }
    for (frame, kind) in [PageKind.ram, .rom, .device, .absent, .ram].enumerated() { memory.setKind(kind, frames: frame..<frame + 1) }
  }

  @Test func kindsAreKept() {
    #expect((0..<5).map { memory.kind(ofFrame: $0) } == [.ram, .rom, .device, .absent, .ram])
    #expect(memory.kind(ofFrame: 5) == .absent && memory.kind(ofFrame: -1) == .absent)
    memory.setKind(.device, frames: 4..<100)
    #expect(memory.kind(ofFrame: 4) == .device)
  }

  @Test func loadsSeeOnesWhereNoMemoryIs() {
    #expect(memory.load(0x1000, as: UInt32.self) == 0x0202_0202)
    #expect(memory.load(0x2000, as: UInt32.self) == ~0 && memory.load(0x3FFC, as: UInt32.self) == ~0)
    #expect(memory.load(0x1FFE, as: UInt32.self) == 0xFFFF_0202)
    #expect(memory.load(0x3FFF, as: UInt16.self) == 0x05FF)
    #expect(memory.copyOut(0x1FFF, count: 4098) == [2] + [UInt8](repeating: 0xFF, count: 4097))
    #expect(memory.readable(0xFF8, 16) != nil && memory.readable(0x1FF8, 16) == nil)
    var bytes = [UInt8](repeating: 0, count: 0x5000)
    #expect(bytes.withUnsafeMutableBytes { memory.copyOut(0, into: $0) })
    #expect((0..<5).map { bytes[$0 << 12] } == [1, 2, 0xFF, 0xFF, 5])
  }

  @Test func storesChangeRAMOnly() {
    #expect(memory.copyIn([UInt8](repeating: 9, count: 0x5000), at: 0))
    #expect(memory.store(UInt64(0x0808_0808_0808_0808), at: 0xFFC))
    #expect(memory.store(UInt16(0x0707), at: 0x3FFF))
    #expect(memory.zero(0x800, count: 0x1000))
    #expect(memory.writable(0xFF8, 8) != nil && memory.writable(0xFF8, 9) == nil)
    memory.setKind(.ram, frames: 0..<5)
    #expect(memory.load(0x7F8, as: UInt64.self) == 0x0909_0909_0909_0909)
    #expect(memory.load(0xFFC, as: UInt64.self) == 0x0202_0202_0000_0000)
    #expect(memory.load(0x2000, as: UInt64.self) == 0x0303_0303_0303_0303)
    #expect(memory.load(0x3FFF, as: UInt32.self) == 0x0909_0704)
  }

  @Test func whoTranslatesIsToldFirst() {
    var told: [Range<Int>] = []
    memory.kindsWillChange = { frames in
      #expect(memory.kind(ofFrame: frames.lowerBound) != .rom)
      told.append(frames)
    }
    memory.setKind(.rom, frames: 3..<9)
    memory.setKind(.rom, frames: 3..<5)
    #expect(told == [3..<5])
  }

  @Test func theOpenBusIsNoAddress() {
    let frame = memory.openBusFrame()
    #expect(frame == memory.frameCount && !memory.contains(UInt64(frame) << 12, 1))
    #expect((memory.base + (frame << 12)).load(as: UInt64.self) == ~0)
  }
}
