/// Decompresses a whole file or payload.
///
/// Streams of the same format that follow one another are joined, as their own tools do. Other bytes after a complete
/// stream are ignored (Linux appends the unpacked size to a kernel's payload), except for `lz4Legacy`, whose streams have no
/// end mark: there, cut the data exactly.
/// - Parameters:
///   - data: the compressed bytes; they need not be trustworthy.
///   - limit: the most bytes to produce; more is `CompressionError.tooLarge`.
///   - expecting: how many bytes it is said to be, to make room for at once; a wrong number costs time only.
public func decompress(
  _ data: UnsafeRawBufferPointer, format: CompressionFormat, limit: Int, expecting: Int? = nil
) throws(CompressionError) -> [UInt8] {
  switch format {
  case .gzip: try gunzip(data, limit: limit)
  case .xz, .lzma: try unlzma(data, format: format, limit: limit, expecting: expecting)
  case .bzip2: try bunzip2(data, limit: limit)
  case .lz4: try unlz4Frame(data, limit: limit)
  case .lz4Legacy: try unlz4Legacy(data, limit: limit)
  case .lzo: try unlzop(data, limit: limit)
  case .zstd: try unzstd(data, limit: limit)
  }
}

/// The same for bytes in an array.
public func decompress(_ data: [UInt8], format: CompressionFormat, limit: Int) throws(CompressionError) -> [UInt8] {
  try withBytes(data) { bytes throws(CompressionError) in try decompress(bytes, format: format, limit: limit) }
}

/// `Array.withUnsafeBytes` for typed errors.
func withBytes<R>(
  _ data: [UInt8], _ body: (UnsafeRawBufferPointer) throws(CompressionError) -> R
) throws(CompressionError) -> R {
  let result: Result<R, CompressionError> = data.withUnsafeBytes { bytes in
    do throws(CompressionError) { return .success(try body(bytes)) } catch { return .failure(error) }
  }
  return try result.get()
}

/// How much a C decoder is handed or asked for at a time: their counters are 32 bits wide.
let decoderStep = 1 << 20

/// A C library's stream record at an address that does not change: zlib and bzip2 keep a pointer back to it.
struct CStream<Record> {
  let pointer: UnsafeMutablePointer<Record>

  init(_ record: Record) {
    pointer = .allocate(capacity: 1)
    pointer.initialize(to: record)
  }

  func free() { pointer.deallocate() }
}
