import CHost

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// Asks the host for large pages where tens of megabytes are about to be written once: a page fault for every 4 KiB would take a tenth of
/// the time of decompressing a kernel.
public func adviseHugePages(_ bytes: UnsafeMutableRawBufferPointer) {
  #if os(Linux)
    guard let start = bytes.baseAddress else { return }
    let count = bytes.count
    let page = 2 << 20
    let address = UInt(bitPattern: start)
    let first = (address &+ UInt(page - 1)) & ~UInt(page - 1)
    let end = (address &+ UInt(count)) & ~UInt(page - 1)
    guard count >= 2 * page, end > first, let from = UnsafeMutableRawPointer(bitPattern: first) else { return }
    // A host that cannot is as good as before.
    _ = madvise(from, Int(end - first), MADV_HUGEPAGE)
  #endif
}

/// Bytes being decompressed into: one contiguous region, so that a decoder may refer back to what it has written.
///
/// Invariant: `base` holds `capacity` bytes, of which `count` are written; `count` never passes `limit`.
struct OutputBuffer: ~Copyable {
  private(set) var base: UnsafeMutableRawPointer
  private(set) var capacity: Int
  private(set) var count = 0
  let limit: Int
  let format: CompressionFormat

  init(format: CompressionFormat, limit: Int, expecting: Int = 0) throws(CompressionError) {
    let wanted = max(1, min(max(expecting, 64 << 10), max(limit, 0)))
    guard let p = malloc(wanted) else { throw .outOfMemory }
    adviseHugePages(UnsafeMutableRawBufferPointer(start: p, count: wanted))
    base = p
    capacity = wanted
    self.limit = max(limit, 0)
    self.format = format
  }

  deinit { free(base) }

  /// Room for up to `wanted` more bytes, cut at the limit; throws if not even one byte may follow.
  mutating func room(_ wanted: Int) throws(CompressionError) -> UnsafeMutableRawBufferPointer {
    let left = limit - count
    guard left > 0 else { throw .tooLarge(format, limit: limit) }
    let granted = min(wanted, left)
    if capacity - count < granted {
      let (doubled, overflow) = capacity.multipliedReportingOverflow(by: 2)
      let grown = min(limit, max(overflow ? limit : doubled, count + granted))
      guard let p = realloc(base, grown) else { throw .outOfMemory }
      base = p
      capacity = grown
    }
    return UnsafeMutableRawBufferPointer(start: base + count, count: granted)
  }

  /// Says that `n` bytes of the last `room` have been written.
  mutating func advance(_ n: Int) {
    precondition(n >= 0 && n <= capacity - count)
    count += n
  }

  /// One step of a C decoder, into up to `decoderStep` bytes of room. At the limit it is given one spare byte: a stream that ends there
  /// can still say so, and have its sum checked; one that goes on is too large.
  ///
  /// - Parameter decode: decodes into the room, and says how many bytes of it are left.
  /// - Returns: how many bytes were written.
  mutating func step(_ decode: (UnsafeMutableRawBufferPointer) -> Int) throws(CompressionError) -> Int {
    if count == limit {
      var spare: UInt8 = 0
      let left = withUnsafeMutableBytes(of: &spare) { decode($0) }
      guard left == 1 else { throw .tooLarge(format, limit: limit) }
      return 0
    }
    let room = try room(decoderStep)
    let produced = room.count - decode(room)
    advance(produced)
    return produced
  }

  mutating func append(_ bytes: UnsafeRawBufferPointer) throws(CompressionError) {
    guard bytes.count > 0, let source = bytes.baseAddress else { return }
    let space = try room(bytes.count)
    guard space.count == bytes.count, let target = space.baseAddress else { throw .tooLarge(format, limit: limit) }
    memcpy(target, source, bytes.count)
    advance(bytes.count)
  }

  /// What has been written from `offset` on. Use at once.
  func written(from offset: Int) -> UnsafeRawBufferPointer {
    UnsafeRawBufferPointer(start: base + offset, count: count - offset)
  }

  consuming func finish() throws(CompressionError) -> [UInt8] {
    let (source, n) = (base, count)
    guard ph_has_memory(n) != 0 else {
      discard self
      free(source)
      throw .outOfMemory
    }
    let bytes = [UInt8](unsafeUninitializedCapacity: n) { buffer, written in
      if n > 0, let target = buffer.baseAddress {
        adviseHugePages(UnsafeMutableRawBufferPointer(start: target, count: n))
        memcpy(target, source, n)
      }
      written = n
    }
    // Without this the buffer could be freed at its last mention, before the copy.
    discard self
    free(source)
    return bytes
  }
}

/// Reads the fields of a container from hostile bytes: every read is checked and says `truncated` past the end.
struct InputCursor {
  let data: UnsafeRawBufferPointer
  let format: CompressionFormat
  private(set) var offset = 0

  init(_ data: UnsafeRawBufferPointer, format: CompressionFormat) {
    self.data = data
    self.format = format
  }

  var remaining: Int { data.count - offset }

  mutating func bytes(_ n: Int) throws(CompressionError) -> UnsafeRawBufferPointer {
    guard n >= 0, n <= remaining else { throw .truncated(format) }
    defer { offset += n }
    return UnsafeRawBufferPointer(rebasing: data[offset..<offset + n])
  }

  mutating func byte() throws(CompressionError) -> UInt8 {
    guard remaining > 0 else { throw .truncated(format) }
    defer { offset += 1 }
    return data[offset]
  }

  private mutating func integer<T: FixedWidthInteger>(_: T.Type) throws(CompressionError) -> T {
    try bytes(MemoryLayout<T>.size).loadUnaligned(as: T.self)
  }

  mutating func little32() throws(CompressionError) -> UInt32 { UInt32(littleEndian: try integer(UInt32.self)) }
  mutating func little64() throws(CompressionError) -> UInt64 { UInt64(littleEndian: try integer(UInt64.self)) }
  mutating func big32() throws(CompressionError) -> UInt32 { UInt32(bigEndian: try integer(UInt32.self)) }
  mutating func big16() throws(CompressionError) -> UInt16 { UInt16(bigEndian: try integer(UInt16.self)) }

  /// The next 32 bits without taking them; nil if there are fewer.
  func peekLittle32() -> UInt32? {
    guard remaining >= 4 else { return nil }
    return UInt32(littleEndian: data.loadUnaligned(fromByteOffset: offset, as: UInt32.self))
  }
}
