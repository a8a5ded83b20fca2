import GuestMemory
import Motherboard

// Which frames of a PC's address space are RAM, ROM, a device's or nothing.

/// What does not show of the 256 KiB of ROMs and their shadow RAM at 0xc0000: each segment has both, and the memory holds the one that
/// is read.
struct ShadowMemory {
  static let start = Int(PCIHostBridge.segmentsStart)
  static let segment = Int(PCIHostBridge.segmentSize)
  /// The ROM's bytes from `start` on; empty where there is none.
  var rom = [UInt8](repeating: 0xFF, count: 0x40000)
  /// The RAM's, where the ROM shows.
  var ram = [UInt8](repeating: 0, count: 0x40000)
  /// By segment.
  var showsRAM = [Bool](repeating: false, count: 16)
  /// Who answers for segments that are read from ROM and written to RAM.
  var windows = [WriteThroughWindow?](repeating: nil, count: 16)
}

/// Segments that are read from ROM and written to RAM.
final class WriteThroughWindow: MemoryHandler {
  private unowned let machine: PCMachine
  private let start: Int
  init(_ machine: PCMachine, segment: Int) {
    self.machine = machine
    start = segment * ShadowMemory.segment
  }

  func readMemory(_ offset: UInt64, size: Int) -> UInt64 {
    (0..<size).reduce(0) { $0 | UInt64(byte(machine.shadow.rom, Int(offset) + $1)) << UInt64($1 * 8) }
  }

  func writeMemory(_ offset: UInt64, size: Int, value: UInt64) {
    for index in 0..<size where start + Int(offset) + index < machine.shadow.ram.count {
      machine.shadow.ram[start + Int(offset) + index] = UInt8(truncatingIfNeeded: value >> UInt64(index * 8))
    }
  }

  private func byte(_ bytes: [UInt8], _ offset: Int) -> UInt8 { start + offset < bytes.count ? bytes[start + offset] : 0xFF }
}

extension PCMachine {
  private func frames(_ range: Range<UInt64>) -> Range<Int> { Int(range.lowerBound >> 12)..<Int((range.upperBound &+ 4095) >> 12) }

  /// Lays the address space out as after power-on.
  func layOutMemory(_ firmware: FirmwareImage) {
    memory.setKind(.absent, frames: frames(0xA0000..<0x100000))
    if map.low < MemoryMap.fourGiB { memory.setKind(.absent, frames: frames(map.low..<MemoryMap.fourGiB)) }
    memory.setKind(.ram, frames: frames(firmware.range))
    memory.copyIn(firmware.bytes, at: firmware.range.lowerBound)
    memory.setKind(.rom, frames: frames(firmware.range))
    flash = firmware.range
    let (address, bytes) = firmware.alias
    shadow.rom.replaceSubrange((Int(address) - ShadowMemory.start)..., with: bytes)
    for segment in 0..<16 { show(rom: segment, access: []) }
  }

  private func range(_ segment: Int) -> Range<UInt64> {
    let start = UInt64(ShadowMemory.start + segment * ShadowMemory.segment)
    return start..<start + UInt64(ShadowMemory.segment)
  }

  /// Puts ROM where RAM showed.
  private func show(rom segment: Int, access: PCIHostBridge.Access) {
    let place = range(segment)
    let offset = segment * ShadowMemory.segment
    let bytes = offset..<offset + ShadowMemory.segment
    if shadow.showsRAM[segment], let content = memory.copyOut(place.lowerBound, count: ShadowMemory.segment) {
      shadow.ram.replaceSubrange(bytes, with: content)
    }
    shadow.showsRAM[segment] = false
    memory.setKind(.ram, frames: frames(place))
    memory.copyIn(Array(shadow.rom[bytes]), at: place.lowerBound)
    memory.setKind(.rom, frames: frames(place))
    guard access.contains(.writes) else { return }
    let window = WriteThroughWindow(self, segment: segment)
    shadow.windows[segment] = window
    board.claimMemory(place, by: window)
  }

  private func show(ram segment: Int, access: PCIHostBridge.Access) {
    let place = range(segment)
    let offset = segment * ShadowMemory.segment
    memory.setKind(.ram, frames: frames(place))
    if !shadow.showsRAM[segment] {
      memory.copyIn(Array(shadow.ram[offset..<offset + ShadowMemory.segment]), at: place.lowerBound)
    }
    shadow.showsRAM[segment] = true
    if !access.contains(.writes) { memory.setKind(.rom, frames: frames(place)) }
  }

  /// The host bridge's attribute map changed.
  func attributesChanged(_ place: Range<UInt64>, _ access: PCIHostBridge.Access) {
    let segment = (Int(place.lowerBound) - ShadowMemory.start) / ShadowMemory.segment
    guard shadow.showsRAM.indices.contains(segment) else { return }
    if let window = shadow.windows[segment] { board.releaseMemory(place, by: window) }
    shadow.windows[segment] = nil
    if access.contains(.reads) { show(ram: segment, access: access) } else { show(rom: segment, access: access) }
  }

  /// A device's window came or went.
  func windowChanged(_ place: Range<UInt64>, isThere: Bool) {
    guard place.upperBound <= memory.byteCount else { return }
    if isThere {
      memory.setKind(.device, frames: frames(place))
      return
    }
    for frame in frames(place) {
      let page = UInt64(frame) << 12..<UInt64(frame + 1) << 12
      if !board.hasMemory(page) { memory.setKind(kindBehindDevices(page.lowerBound), frames: frame..<frame + 1) }
    }
  }

  /// What shows at an address where no device does.
  private func kindBehindDevices(_ address: UInt64) -> PageKind {
    switch address {
    // Behind the display's memory there is nothing to see.
    case 0xA0000..<0xC0000: return .absent
    case PCIHostBridge.segmentsStart..<0x100000:
      let access = parts.hostBridge.segments[Int((address - PCIHostBridge.segmentsStart) / PCIHostBridge.segmentSize)]
      return access.contains([.reads, .writes]) ? .ram : .rom
    case flash: return .rom
    default: return map.ram.contains { $0.contains(address) } ? .ram : .absent
    }
  }

  /// SMRAM opened or closed: RAM or the display's memory at 0xa0000.
  func systemManagementMemory(isOpen: Bool) { memory.setKind(isOpen ? .ram : .device, frames: 0xA0..<0xC0) }
}
