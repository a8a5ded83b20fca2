import GuestMemory

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Eight bytes of memory: what was there (nil: not known), and what each engine left.
struct MemoryDifference {
  var address: UInt64
  var before: UInt64?
  var interpreter: UInt64
  var translator: UInt64
}

/// All of a machine's memory at one moment.
final class SavedMemory {
  // Invariant: `bytes` holds a frame for each number in `frames`, in order, and lives as long as the object.
  private var frames: [Int] = []
  private let bytes: UnsafeMutableRawPointer
  private let isSaved: [Bool]

  init(_ memory: MachineMemory) {
    var frames: [Int] = []
    var isSaved = [Bool](repeating: false, count: memory.frameCount)
    memory.forEachTouchedFrame { frame, _ in
      frames.append(frame)
      isSaved[frame] = true
    }
    bytes = .allocate(byteCount: max(frames.count, 1) * 4096, alignment: 4096)
    for (place, frame) in frames.enumerated() {
      memory.copyOut(UInt64(frame) << 12, into: UnsafeMutableRawBufferPointer(start: bytes + place * 4096, count: 4096))
    }
    self.frames = frames
    self.isSaved = isSaved
  }

  deinit { bytes.deallocate() }

  private func isSame(_ place: Int, _ memory: MachineMemory) -> Bool {
    guard let now = memory.readable(UInt64(frames[place]) << 12, 4096)?.baseAddress else { return true }
    return memcmp(now, bytes + place * 4096, 4096) == 0
  }

  /// Frames that are not what they were, in either memory.
  func changed(_ left: MachineMemory, _ right: MachineMemory) -> [Int] {
    var found = frames.indices.filter { !isSame($0, left) || !isSame($0, right) }.map { frames[$0] }
    for memory in [left, right] {
      memory.forEachTouchedFrame { frame, bytes in
        if !isSaved[frame], bytes.contains(where: { $0 != 0 }), !found.contains(frame) { found.append(frame) }
      }
    }
    return found.sorted()
  }

  /// Makes a memory what it was, and drops what was decoded of the frames that change.
  func restore(_ memory: MachineMemory) {
    for place in frames.indices where !isSame(place, memory) {
      memory.copyIn(UnsafeRawBufferPointer(start: bytes + place * 4096, count: 4096), at: UInt64(frames[place]) << 12)
    }
    var more: [Int] = []
    memory.forEachTouchedFrame { frame, bytes in if !isSaved[frame], bytes.contains(where: { $0 != 0 }) { more.append(frame) } }
    for frame in more { memory.zero(UInt64(frame) << 12, count: 4096) }
  }

  private func word(_ address: UInt64) -> UInt64 {
    var (low, high) = (0, frames.count)
    while low < high {
      let middle = (low + high) / 2
      if frames[middle] < Int(address >> 12) { low = middle + 1 } else { high = middle }
    }
    guard low < frames.count, frames[low] == Int(address >> 12) else { return 0 }
    return bytes.load(fromByteOffset: low * 4096 + Int(address & 4095), as: UInt64.self)
  }

  /// The words of some frames that either engine changed.
  func writes(_ frames: [Int], _ left: MachineMemory, _ right: MachineMemory) -> [MemoryDifference] {
    Self.words(frames, left, right).compactMap { address, a, b in
      let before = word(address)
      return a == before && b == before ? nil : MemoryDifference(address: address, before: before, interpreter: a, translator: b)
    }
  }

  /// The words of some frames that are not the same.
  static func differences(_ frames: [Int], _ left: MachineMemory, _ right: MachineMemory) -> [MemoryDifference] {
    words(frames, left, right).compactMap { address, a, b in
      a == b ? nil : MemoryDifference(address: address, before: nil, interpreter: a, translator: b)
    }
  }

  private static func words(_ frames: [Int], _ left: MachineMemory, _ right: MachineMemory) -> [(UInt64, UInt64, UInt64)] {
    frames.prefix(64).flatMap { frame in
      stride(from: UInt64(frame) << 12, to: UInt64(frame + 1) << 12, by: 8).map { address in
        (address, left.load(address) ?? 0, right.load(address) ?? 0)
      }
    }
  }
}
