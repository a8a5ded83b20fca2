// The container is lzop's: a header with big-endian fields, then blocks of {unpacked length, packed length, checksums,
// data} until an unpacked length of 0. Linux kernels packed with LZO are such files.

private enum LzopFlag {
  static let adler32Unpacked: UInt32 = 0x1
  static let adler32Packed: UInt32 = 0x2
  static let extraField: UInt32 = 0x40
  static let crc32Unpacked: UInt32 = 0x100
  static let crc32Packed: UInt32 = 0x200
  static let filter: UInt32 = 0x800
  static let crc32Header: UInt32 = 0x1000
}

private let lzopMaximumBlock = 64 << 20

func unlzop(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .lzo, limit: limit, expecting: data.count &* 3)
  var input = InputCursor(data, format: .lzo)
  repeat {
    try unlzopFile(&input, into: &output)
  } while CompressionFormat.detect(UnsafeRawBufferPointer(rebasing: data[input.offset...])) == .lzo
  return try output.finish()
}

private func unlzopFile(_ input: inout InputCursor, into output: inout OutputBuffer) throws(CompressionError) {
  guard CompressionFormat.detect(try input.bytes(9)) == .lzo else {
    throw .corrupt(.lzo, "it does not begin with its magic number")
  }
  let headerStart = input.offset
  let version = try input.big16()
  _ = try input.big16()
  if version >= 0x0940 { _ = try input.big16() }
  let method = try input.byte()
  guard (1...3).contains(method) else { throw .unsupported(.lzo, "method \(method) (LZO1X is 1 to 3)") }
  if version >= 0x0940 { _ = try input.byte() }
  let flags = try input.big32()
  if flags & LzopFlag.filter != 0 { throw .unsupported(.lzo, "a filter") }
  _ = try input.big32()
  _ = try input.big32()
  if version >= 0x0940 { _ = try input.big32() }
  _ = try input.bytes(Int(try input.byte()))
  let header = UnsafeRawBufferPointer(rebasing: input.data[headerStart..<input.offset])
  let expected = flags & LzopFlag.crc32Header != 0 ? crc32Checksum(header) : adler32Checksum(header)
  guard try input.big32() == expected else { throw .corrupt(.lzo, "its header's checksum does not hold") }
  if flags & LzopFlag.extraField != 0 {
    _ = try input.bytes(Int(try input.big32()))
    _ = try input.big32()
  }
  while true {
    let unpacked = try input.big32()
    if unpacked == 0 { return }
    let packed = try input.big32()
    guard unpacked <= lzopMaximumBlock, packed > 0, packed <= unpacked else {
      throw .corrupt(.lzo, "a block of \(packed) bytes claims to unpack to \(unpacked)")
    }
    let adler = flags & LzopFlag.adler32Unpacked != 0 ? try input.big32() : nil
    let crc = flags & LzopFlag.crc32Unpacked != 0 ? try input.big32() : nil
    if packed < unpacked {
      // Checksums of the packed bytes guard nothing that those of the unpacked bytes do not.
      if flags & LzopFlag.adler32Packed != 0 { _ = try input.big32() }
      if flags & LzopFlag.crc32Packed != 0 { _ = try input.big32() }
    }
    let block = try input.bytes(Int(packed))
    let start = output.count
    if packed == unpacked {
      try output.append(block)
    } else {
      let room = try output.room(Int(unpacked))
      guard room.count == Int(unpacked) else { throw .tooLarge(.lzo, limit: output.limit) }
      let written = try decodeLZO1X(block, into: room)
      guard written == room.count else { throw .corrupt(.lzo, "a block unpacks to \(written) bytes, not \(room.count)") }
      output.advance(written)
    }
    let content = output.written(from: start)
    if let adler, adler32Checksum(content) != adler { throw .corrupt(.lzo, "a block's checksum does not hold") }
    if let crc, crc32Checksum(content) != crc { throw .corrupt(.lzo, "a block's checksum does not hold") }
  }
}

/// Decodes one LZO1X stream; returns the bytes written.
///
/// An instruction is a byte, perhaps a length continued in further bytes, and a distance. What a byte below 16 means depends
/// on how many literals came just before it (`state`): none (0), one to three from the low bits of the last match, or a
/// literal run (4).
func decodeLZO1X(_ data: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CompressionError) -> Int {
  var input = InputCursor(data, format: .lzo)
  var written = 0
  var state = 0

  func literals(_ n: Int) throws(CompressionError) {
    guard n <= output.count - written else { throw .corrupt(.lzo, "a block unpacks to more than it says") }
    let source = try input.bytes(n)
    guard n > 0 else { return }
    UnsafeMutableRawBufferPointer(rebasing: output[written..<written + n]).copyMemory(from: source)
    written += n
  }
  func match(distance: Int, length: Int) throws(CompressionError) {
    guard distance <= written else { throw .corrupt(.lzo, "a match reaches back before the block's start") }
    guard length <= output.count - written else { throw .corrupt(.lzo, "a block unpacks to more than it says") }
    guard let base = output.baseAddress else { return }
    var n = 0
    // Byte by byte: source and target overlap when the distance is shorter than the length.
    while n < length {
      base.storeBytes(of: base.load(fromByteOffset: written - distance, as: UInt8.self), toByteOffset: written, as: UInt8.self)
      written += 1
      n += 1
    }
  }
  /// A length of 0 in the instruction goes on: each zero byte adds 255, the first other byte itself.
  func extended(_ short: Int, _ base: Int) throws(CompressionError) -> Int {
    if short != 0 { return short }
    var length = base
    while true {
      let byte = try input.byte()
      if byte != 0 { return length + Int(byte) }
      length += 255
      guard length <= lzopMaximumBlock else { throw .corrupt(.lzo, "a length is out of all bounds") }
    }
  }

  if let first = data.first, first > 17 {
    _ = try input.byte()
    let n = Int(first) - 17
    try literals(n)
    state = n < 4 ? n : 4
  }
  while true {
    let instruction = Int(try input.byte())
    var next = 0
    switch instruction {
    case 0..<16 where state == 0:
      try literals(3 + (try extended(instruction, 15)))
      state = 4
      continue
    case 0..<16:
      next = instruction & 3
      let distance = (instruction >> 2) + (Int(try input.byte()) << 2)
      try match(distance: distance + (state == 4 ? 2049 : 1), length: state == 4 ? 3 : 2)
    case 16..<32:
      let length = 2 + (try extended(instruction & 7, 7))
      let (low, high) = (Int(try input.byte()), Int(try input.byte()))
      let distance = (instruction & 8) << 11 + (low >> 2) + (high << 6)
      if distance == 0 {
        guard length == 3 else { throw .corrupt(.lzo, "a block's end mark does not follow the format") }
        return written
      }
      next = low & 3
      try match(distance: distance + 16384, length: length)
    case 32..<64:
      let length = 2 + (try extended(instruction & 31, 31))
      let (low, high) = (Int(try input.byte()), Int(try input.byte()))
      next = low & 3
      try match(distance: (low >> 2) + (high << 6) + 1, length: length)
    default:
      next = instruction & 3
      let distance = ((instruction >> 2) & 7) + (Int(try input.byte()) << 3) + 1
      let length = instruction < 128 ? 3 + ((instruction >> 5) & 1) : 5 + ((instruction >> 5) & 3)
      try match(distance: distance, length: length)
    }
    try literals(next)
    state = next
  }
}
