import CZstd

/// Decompresses the first Zstandard frame, which must fill `output` exactly; what follows the frame is ignored.
public func zstdDecompress(_ data: UnsafeRawBufferPointer, into output: UnsafeMutableRawBufferPointer) throws(CompressionError) {
  guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
  defer { ZSTD_freeDCtx(context) }
  var source = ZSTD_inBuffer(src: data.baseAddress, size: data.count, pos: 0)
  var target = ZSTD_outBuffer(dst: output.baseAddress, size: output.count, pos: 0)
  while true {
    let (before, written) = (source.pos, target.pos)
    let left = ZSTD_decompressStream(context, &target, &source)
    if ZSTD_isError(left) != 0 { throw failure(left) }
    if left == 0 { break }
    guard source.pos != before || target.pos != written else {
      if target.pos == target.size && source.pos < source.size { throw .tooLarge(.zstd, limit: output.count) }
      throw .truncated(.zstd)
    }
  }
  guard target.pos == output.count else { throw .corrupt(.zstd, "it unpacks to fewer bytes than expected") }
}

/// The same, giving an array of exactly `count` bytes.
public func zstdDecompress(_ data: [UInt8], count: Int) throws(CompressionError) -> [UInt8] {
  var output = [UInt8](repeating: 0, count: max(count, 0))
  let result: Result<Void, CompressionError> = output.withUnsafeMutableBytes { target in
    data.withUnsafeBytes { source in
      do throws(CompressionError) { return .success(try zstdDecompress(source, into: target)) } catch { return .failure(error) }
    }
  }
  try result.get()
  return output
}

/// Compresses into one Zstandard frame.
/// - Parameter level: 1...22; 3 is the library's default.
public func zstdCompress(_ data: UnsafeRawBufferPointer, level: Int32 = 3) throws(CompressionError) -> [UInt8] {
  let bound = ZSTD_compressBound(data.count)
  if ZSTD_isError(bound) != 0 { throw .outOfMemory }
  var result = 0
  let output = [UInt8](unsafeUninitializedCapacity: bound) { buffer, written in
    result = ZSTD_compress(buffer.baseAddress, bound, data.baseAddress, data.count, level)
    written = ZSTD_isError(result) != 0 ? 0 : result
  }
  if ZSTD_isError(result) != 0 { throw failure(result) }
  return output
}

/// The same for bytes in an array.
public func zstdCompress(_ data: [UInt8], level: Int32 = 3) throws(CompressionError) -> [UInt8] {
  try withBytes(data) { bytes throws(CompressionError) in try zstdCompress(bytes, level: level) }
}

func unzstd(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .zstd, limit: limit, expecting: data.count &* 4)
  guard let context = ZSTD_createDCtx() else { throw .outOfMemory }
  defer { ZSTD_freeDCtx(context) }
  var source = ZSTD_inBuffer(src: data.baseAddress, size: data.count, pos: 0)
  while true {
    let before = source.pos
    var left = 0
    let produced = try output.step { room in
      var target = ZSTD_outBuffer(dst: room.baseAddress, size: room.count, pos: 0)
      left = ZSTD_decompressStream(context, &target, &source)
      return target.size - target.pos
    }
    if ZSTD_isError(left) != 0 { throw failure(left) }
    if left == 0 {
      // The frame is complete. Go on only with another frame, plain or skippable.
      guard data.count - source.pos >= 4 else { return try output.finish() }
      let magic = UInt32(littleEndian: data.loadUnaligned(fromByteOffset: source.pos, as: UInt32.self))
      guard magic == 0xFD2F_B528 || magic & 0xFFFF_FFF0 == 0x184D_2A50 else { return try output.finish() }
    } else if produced == 0 && source.pos == before {
      throw .truncated(.zstd)
    }
  }
}

private func failure(_ code: Int) -> CompressionError {
  // zstd_errors.h is a header of its own: ZSTD_error_memory_allocation is 64, and results are negated codes.
  0 &- code == 64 ? .outOfMemory : .corrupt(.zstd, String(cString: ZSTD_getErrorName(code)))
}
