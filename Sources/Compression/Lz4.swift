import CLz4

// The frame format is "LZ4 Frame Format Description" 1.6; the legacy frame is its last section.
private let frameMagic: UInt32 = 0x184D_2204
private let legacyMagic: UInt32 = 0x184C_2102
private let legacyBlockSize = 8 << 20

func unlz4Legacy(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .lz4Legacy, limit: limit, expecting: data.count &* 4)
  var input = InputCursor(data, format: .lz4Legacy)
  guard try input.little32() == legacyMagic else { throw .corrupt(.lz4Legacy, "it does not begin with its magic number") }
  while input.remaining > 0 {
    let length = try input.little32()
    if length == legacyMagic { continue }
    // A stored block does not exist here: each is compressed, and none can be longer than the worst case.
    guard length > 0, length <= UInt32(LZ4_compressBound(Int32(legacyBlockSize))) else {
      throw .corrupt(.lz4Legacy, "a block is \(length) bytes long")
    }
    try decodeBlock(try input.bytes(Int(length)), maximum: legacyBlockSize, history: 0, into: &output)
  }
  return try output.finish()
}

func unlz4Frame(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .lz4, limit: limit, expecting: data.count &* 4)
  var input = InputCursor(data, format: .lz4)
  guard input.peekLittle32() == frameMagic else { throw .corrupt(.lz4, "it does not begin with its magic number") }
  while let magic = input.peekLittle32() {
    if magic & 0xFFFF_FFF0 == 0x184D_2A50 {
      _ = try input.little32()
      _ = try input.bytes(Int(try input.little32()))
    } else if magic == frameMagic {
      try decodeFrame(&input, into: &output)
    } else {
      break
    }
  }
  return try output.finish()
}

private func decodeFrame(_ input: inout InputCursor, into output: inout OutputBuffer) throws(CompressionError) {
  _ = try input.little32()
  let start = input.offset
  let flags = try input.byte()
  let descriptor = try input.byte()
  guard flags >> 6 == 1 else { throw .unsupported(.lz4, "version \(flags >> 6) of the frame") }
  let independent = flags & 0x20 != 0
  let blockChecksums = flags & 0x10 != 0
  let contentSize = flags & 0x08 != 0 ? try input.little64() : nil
  let contentChecksum = flags & 0x04 != 0
  if flags & 0x01 != 0 { throw .unsupported(.lz4, "a preset dictionary") }
  let header = UnsafeRawBufferPointer(rebasing: input.data[start..<input.offset])
  guard try input.byte() == UInt8(truncatingIfNeeded: xxHash32(header) >> 8) else {
    throw .corrupt(.lz4, "its header's checksum does not hold")
  }
  let code = (descriptor >> 4) & 7
  guard code >= 4 else { throw .unsupported(.lz4, "block size code \(code)") }
  let maximum = 1 << (8 + 2 * Int(code))
  let first = output.count
  while true {
    let word = try input.little32()
    if word == 0 { break }
    let length = Int(word & 0x7FFF_FFFF)
    guard length <= maximum else { throw .corrupt(.lz4, "a block of \(length) bytes is longer than the frame allows") }
    let block = try input.bytes(length)
    if blockChecksums {
      guard try input.little32() == xxHash32(block) else { throw .corrupt(.lz4, "a block's checksum does not hold") }
    }
    if word >> 31 != 0 {
      try output.append(block)
    } else {
      let history = independent ? 0 : min(64 << 10, output.count - first)
      try decodeBlock(block, maximum: maximum, history: history, into: &output)
    }
  }
  if contentChecksum {
    guard try input.little32() == xxHash32(output.written(from: first)) else {
      throw .corrupt(.lz4, "the content's checksum does not hold")
    }
  }
  if let contentSize, contentSize != UInt64(output.count - first) {
    throw .corrupt(.lz4, "it unpacks to \(output.count - first) bytes where its header says \(contentSize)")
  }
}

/// Decodes one block at the end of `output`; its matches may reach `history` bytes back beyond its start.
private func decodeBlock(
  _ block: UnsafeRawBufferPointer, maximum: Int, history: Int, into output: inout OutputBuffer
) throws(CompressionError) {
  let room = try output.room(maximum)
  guard let target = room.bindMemory(to: CChar.self).baseAddress, let source = block.bindMemory(to: CChar.self).baseAddress else {
    throw .corrupt(output.format, "a block is empty")
  }
  let length = Int32(truncatingIfNeeded: block.count)
  let written: Int32
  if history > 0 {
    written = LZ4_decompress_safe_usingDict(source, target, length, Int32(room.count), target - history, Int32(history))
  } else {
    written = LZ4_decompress_safe(source, target, length, Int32(room.count))
  }
  guard written >= 0 else {
    // The decoder does not tell a full buffer from bad data; where the limit cut the room, suppose the former.
    if room.count < maximum { throw .tooLarge(output.format, limit: output.limit) }
    throw .corrupt(output.format, "a block does not follow the format")
  }
  output.advance(Int(written))
}

/// XXH32 with seed 0 ("xxHash fast digest algorithm" 0.1.1, section XXH32), the checksum of LZ4 frames.
func xxHash32(_ data: UnsafeRawBufferPointer) -> UInt32 {
  let (p1, p2, p3): (UInt32, UInt32, UInt32) = (0x9E37_79B1, 0x85EB_CA77, 0xC2B2_AE3D)
  let (p4, p5): (UInt32, UInt32) = (0x27D4_EB2F, 0x1656_67B1)
  func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
  func word(_ offset: Int) -> UInt32 { UInt32(littleEndian: data.loadUnaligned(fromByteOffset: offset, as: UInt32.self)) }
  func round(_ lane: UInt32, _ input: UInt32) -> UInt32 { rotate(lane &+ input &* p2, 13) &* p1 }
  var offset = 0
  var hash = p5
  if data.count >= 16 {
    var (a, b, c, d) = (p1 &+ p2, p2, UInt32(0), 0 &- p1)
    while data.count - offset >= 16 {
      a = round(a, word(offset))
      b = round(b, word(offset + 4))
      c = round(c, word(offset + 8))
      d = round(d, word(offset + 12))
      offset += 16
    }
    hash = rotate(a, 1) &+ rotate(b, 7) &+ rotate(c, 12) &+ rotate(d, 18)
  }
  hash = hash &+ UInt32(truncatingIfNeeded: data.count)
  while data.count - offset >= 4 {
    hash = rotate(hash &+ word(offset) &* p3, 17) &* p4
    offset += 4
  }
  while offset < data.count {
    hash = rotate(hash &+ UInt32(data[offset]) &* p5, 11) &* p1
    offset += 1
  }
  hash = (hash ^ hash >> 15) &* p2
  hash = (hash ^ hash >> 13) &* p3
  return hash ^ hash >> 16
}
