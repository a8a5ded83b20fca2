import CZlib

/// Inflates one raw deflate stream (RFC 1951; no header, no checksum) that fills `output` exactly, as a compressed cluster
/// of qcow2 does. Input after the stream is ignored.
public func inflateRaw(_ data: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CompressionError) {
  guard data.count <= Int(UInt32.max), output.count <= Int(UInt32.max) else { throw .unsupported(.gzip, "a stream over 4 GiB") }
  let stream = CStream(z_stream())
  defer { stream.free() }
  guard inflateInit2_(stream.pointer, -15, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw .outOfMemory }
  defer { inflateEnd(stream.pointer) }
  stream.pointer.pointee.next_in = UnsafeMutablePointer(mutating: data.bindMemory(to: UInt8.self).baseAddress)
  stream.pointer.pointee.avail_in = UInt32(data.count)
  stream.pointer.pointee.next_out = output.bindMemory(to: UInt8.self).baseAddress
  stream.pointer.pointee.avail_out = UInt32(output.count)
  let status = inflate(stream.pointer, Z_FINISH)
  // A writer that knows the length may leave out the end of the last block; what counts is that the output is full.
  if stream.pointer.pointee.avail_out == 0 && (status == Z_STREAM_END || status == Z_BUF_ERROR || status == Z_OK) { return }
  switch status {
  case Z_STREAM_END: throw .corrupt(.gzip, "it unpacks to fewer bytes than expected")
  case Z_MEM_ERROR: throw .outOfMemory
  case Z_BUF_ERROR, Z_OK: throw .truncated(.gzip)
  default: throw .corrupt(.gzip, message(stream.pointer.pointee))
  }
}

/// The same, giving an array of exactly `count` bytes.
public func inflateRaw(_ data: [UInt8], count: Int) throws(CompressionError) -> [UInt8] {
  var output = [UInt8](repeating: 0, count: max(count, 0))
  let result: Result<Void, CompressionError> = output.withUnsafeMutableBytes { target in
    data.withUnsafeBytes { source in
      do throws(CompressionError) { return .success(try inflateRaw(source, into: target)) } catch { return .failure(error) }
    }
  }
  try result.get()
  return output
}

/// Deflates into one raw stream.
/// - Parameters:
///   - windowBits: 9...15; qcow2 readers need no more than 12.
///   - level: 0...9, or -1 for zlib's default.
public func deflateRaw(_ data: UnsafeRawBufferPointer, windowBits: Int32 = 12, level: Int32 = -1) throws(CompressionError) -> [UInt8] {
  guard data.count <= Int(UInt32.max) / 2 else { throw .unsupported(.gzip, "a stream over 2 GiB") }
  let stream = CStream(z_stream())
  defer { stream.free() }
  let size = Int32(MemoryLayout<z_stream>.size)
  guard deflateInit2_(stream.pointer, level, Z_DEFLATED, -windowBits, 8, Z_DEFAULT_STRATEGY, ZLIB_VERSION, size) == Z_OK else {
    throw .outOfMemory
  }
  defer { deflateEnd(stream.pointer) }
  let bound = Int(deflateBound(stream.pointer, UInt(data.count))) + 16
  stream.pointer.pointee.next_in = UnsafeMutablePointer(mutating: data.bindMemory(to: UInt8.self).baseAddress)
  stream.pointer.pointee.avail_in = UInt32(data.count)
  var status = Z_OK
  let output = [UInt8](unsafeUninitializedCapacity: bound) { buffer, written in
    stream.pointer.pointee.next_out = buffer.baseAddress
    stream.pointer.pointee.avail_out = UInt32(bound)
    status = deflate(stream.pointer, Z_FINISH)
    written = bound - Int(stream.pointer.pointee.avail_out)
  }
  guard status == Z_STREAM_END else { throw .outOfMemory }
  return output
}

/// The same for bytes in an array.
public func deflateRaw(_ data: [UInt8], windowBits: Int32 = 12, level: Int32 = -1) throws(CompressionError) -> [UInt8] {
  try withBytes(data) { bytes throws(CompressionError) in try deflateRaw(bytes, windowBits: windowBits, level: level) }
}

/// CRC-32 as gzip, lzop and QED use it (polynomial 0xEDB88320).
public func crc32Checksum(_ data: UnsafeRawBufferPointer, seed: UInt32 = 0) -> UInt32 {
  UInt32(truncatingIfNeeded: crc32_z(UInt(seed), data.bindMemory(to: UInt8.self).baseAddress, data.count))
}

func adler32Checksum(_ data: UnsafeRawBufferPointer) -> UInt32 {
  UInt32(truncatingIfNeeded: adler32_z(1, data.bindMemory(to: UInt8.self).baseAddress, data.count))
}

func gunzip(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .gzip, limit: limit, expecting: data.count &* 4)
  let stream = CStream(z_stream())
  defer { stream.free() }
  guard inflateInit2_(stream.pointer, 15 + 16, ZLIB_VERSION, Int32(MemoryLayout<z_stream>.size)) == Z_OK else { throw .outOfMemory }
  defer { inflateEnd(stream.pointer) }
  let input = data.bindMemory(to: UInt8.self)
  var offset = 0
  while true {
    let given = min(decoderStep, data.count - offset)
    stream.pointer.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress?.advanced(by: offset))
    stream.pointer.pointee.avail_in = UInt32(given)
    var status = Z_OK
    let produced = try output.step { room in
      stream.pointer.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
      stream.pointer.pointee.avail_out = UInt32(room.count)
      status = inflate(stream.pointer, Z_NO_FLUSH)
      return Int(stream.pointer.pointee.avail_out)
    }
    let taken = given - Int(stream.pointer.pointee.avail_in)
    offset += taken
    switch status {
    case Z_STREAM_END:
      // Another member, or something that is none of ours.
      guard data.count - offset >= 2, input[offset] == 0x1F, input[offset + 1] == 0x8B else { return try output.finish() }
      guard inflateReset(stream.pointer) == Z_OK else { throw .corrupt(.gzip, message(stream.pointer.pointee)) }
    case Z_OK, Z_BUF_ERROR:
      if taken == 0 && produced == 0 { throw .truncated(.gzip) }
    case Z_MEM_ERROR: throw .outOfMemory
    case Z_NEED_DICT: throw .unsupported(.gzip, "a preset dictionary")
    default: throw .corrupt(.gzip, message(stream.pointer.pointee))
    }
  }
}

private func message(_ stream: z_stream) -> String {
  stream.msg.map { String(cString: $0) } ?? "it does not follow the format"
}
