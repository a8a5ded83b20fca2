/// What is at a frame of a machine's physical address space.
public enum PageKind: UInt8, Sendable {
  /// The frame's bytes. Every frame is this at first.
  case ram = 0
  /// The frame's bytes, and writes are dropped.
  case rom = 1
  /// Whatever `MachineMemory.bus` answers. A device that moves data finds nothing there: it reads ones, its writes are dropped.
  case device = 2
  /// Nothing: reads give ones, writes are dropped. What is beyond the memory is this.
  case absent = 3
}

/// Who answers the processor at frames of the kind `device`. Called on the vCPU's thread, in the middle of an instruction, whose cycle is
/// the current one.
public struct MemoryBus {
  public typealias Read = @convention(c) (_ context: UnsafeMutableRawPointer?, _ address: UInt64, _ size: UInt32) -> UInt64
  public typealias Write = @convention(c) (_ context: UnsafeMutableRawPointer?, _ address: UInt64, _ size: UInt32, _ value: UInt64) -> Void
  public var context: UnsafeMutableRawPointer?
  /// 1, 2, 4 or 8 bytes within a page, at any alignment; bits above them are ignored, and are 0 in what is written.
  public var read: Read
  public var write: Write

  public init(context: UnsafeMutableRawPointer?, read: @escaping Read, write: @escaping Write) {
    self.context = context
    self.read = read
    self.write = write
  }
}

/// What a frame's word in `MachineMemory.marks` says.
public enum FrameMark {
  /// The `PageKind`.
  public static let kind: UInt16 = 3
  /// Nothing here for a device's reading.
  public static let unreadable: UInt16 = 2
  /// The processor keeps watch over it as a page table; which levels, and how often it was written, is the processor's.
  public static let table: UInt16 = 0x3C
}

extension MachineMemory {
  public func kind(ofFrame frame: Int) -> PageKind {
    guard frame >= 0, frame < frameCount else { return .absent }
    return PageKind(rawValue: UInt8(truncatingIfNeeded: marks[frame] & FrameMark.kind)) ?? .absent
  }

  /// Makes frames what `kind` says; the bytes behind them stay. Frames beyond the memory are absent whatever is asked.
  public func setKind(_ kind: PageKind, frames: Range<Int>) {
    let frames = frames.clamped(to: 0..<frameCount)
    guard frames.contains(where: { marks[$0] & FrameMark.kind != UInt16(kind.rawValue) }) else { return }
    hasMarks.pointee = true
    kindsWillChange?(frames)
    for frame in frames { marks[frame] = UInt16(kind.rawValue) }
  }

  /// A frame of ones that no address leads to, for the processor to fetch from where nothing answers. Its number is `frameCount`.
  public func openBusFrame() -> Int {
    let page = base + frameCount * Self.pageSize
    if page.load(as: UInt8.self) == 0 { page.initializeMemory(as: UInt8.self, repeating: 0xFF, count: Self.pageSize) }
    return frameCount
  }

  /// Whether a range inside memory can be read, or written, as bytes.
  @usableFromInline func isReadable(_ address: UInt64, _ count: Int) -> Bool {
    all(address, count) { $0 & FrameMark.unreadable == 0 }
  }
  @usableFromInline func isWritable(_ address: UInt64, _ count: Int) -> Bool {
    all(address, count) { $0 & FrameMark.kind == 0 }
  }

  @inline(__always) private func all(_ address: UInt64, _ count: Int, _ holds: (UInt16) -> Bool) -> Bool {
    guard count > 0 else { return true }
    var frame = Int(address >> 12)
    let last = Int((address &+ UInt64(count) &- 1) >> 12)
    while frame <= last {
      if !holds(marks[frame]) { return false }
      frame += 1
    }
    return true
  }

  /// Calls `body` with the parts of a range inside memory that lie in one frame each: offset in the range, address, bytes.
  @inline(__always) func forEachPart(_ address: UInt64, _ count: Int, _ body: (Int, UInt64, Int) -> Void) {
    var done = 0
    while done < count {
      let at = address &+ UInt64(done)
      let part = min(count - done, Self.pageSize - Int(at & 4095))
      body(done, at, part)
      done += part
    }
  }

  /// As `copyOut` and `copyIn`, where not every frame is RAM.
  @usableFromInline func copyOutSlowly(_ address: UInt64, _ buffer: UnsafeMutableRawPointer, _ count: Int) {
    forEachPart(address, count) { offset, at, part in
      if isReadable(at, part) {
        (buffer + offset).copyMemory(from: base + Int(at), byteCount: part)
      } else {
        (buffer + offset).initializeMemory(as: UInt8.self, repeating: 0xFF, count: part)
      }
    }
  }
  @usableFromInline func copyInSlowly(_ bytes: UnsafeRawPointer, _ address: UInt64, _ count: Int) {
    forEachPart(address, count) { offset, at, part in
      guard isWritable(at, part) else { return }
      willWrite(at, part)
      (base + Int(at)).copyMemory(from: bytes + offset, byteCount: part)
    }
  }

  /// Tells the processor of page tables that are about to be written by somebody else.
  @usableFromInline func tablesWillChange(_ address: UInt64, _ count: Int) {
    forEachPart(address, count) { _, at, _ in
      let frame = Int(at >> 12)
      if marks[frame] & FrameMark.table != 0 { tableWillChange?(frame) }
    }
  }
}
