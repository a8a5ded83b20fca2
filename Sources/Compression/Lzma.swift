import CLzma

#if canImport(Glibc)
  import Glibc
#elseif canImport(Darwin)
  import Darwin
#endif

/// As malloc; the dictionary in large pages.
private let allocateDictionary: @convention(c) (UnsafeMutableRawPointer?, Int, Int) -> UnsafeMutableRawPointer? = { _, count, size in
  let (bytes, overflow) = count.multipliedReportingOverflow(by: size)
  guard !overflow, let p = malloc(bytes) else { return nil }
  adviseHugePages(UnsafeMutableRawBufferPointer(start: p, count: bytes))
  return p
}

func unlzma(
  _ data: UnsafeRawBufferPointer, format: CompressionFormat, limit: Int, expecting: Int?
) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: format, limit: limit, expecting: min(expecting ?? data.count &* 6, data.count &* 64))
  var offset = 0
  repeat {
    offset += try unlzmaStream(UnsafeRawBufferPointer(rebasing: data[offset...]), format: format, into: &output)
    guard format == .xz else { break }
    // Stream padding: zero bytes in fours.
    while data.count - offset >= 4, data.loadUnaligned(fromByteOffset: offset, as: UInt32.self) == 0 { offset += 4 }
  } while CompressionFormat.detect(UnsafeRawBufferPointer(rebasing: data[offset...])) == .xz
  return try output.finish()
}

/// Decodes one stream; returns the input bytes it took.
private func unlzmaStream(
  _ data: UnsafeRawBufferPointer, format: CompressionFormat, into output: inout OutputBuffer
) throws(CompressionError) -> Int {
  let stream = CStream(lzma_stream())
  defer { stream.free() }
  let allocator = UnsafeMutablePointer<lzma_allocator>.allocate(capacity: 1)
  defer { allocator.deallocate() }
  allocator.initialize(to: lzma_allocator(alloc: allocateDictionary, free: { _, p in free(p) }, opaque: nil))
  stream.pointer.pointee.allocator = UnsafePointer(allocator)
  // The dictionary is the largest part; 1.5 GiB is liblzma's own largest.
  let memoryLimit: UInt64 = 2 << 30
  let started = format == .xz ? lzma_stream_decoder(stream.pointer, memoryLimit, 0) : lzma_alone_decoder(stream.pointer, memoryLimit)
  guard started == LZMA_OK else { throw .outOfMemory }
  defer { lzma_end(stream.pointer) }
  stream.pointer.pointee.next_in = data.bindMemory(to: UInt8.self).baseAddress
  stream.pointer.pointee.avail_in = data.count
  while true {
    let before = stream.pointer.pointee.avail_in
    var status = LZMA_OK
    let produced = try output.step { room in
      stream.pointer.pointee.next_out = room.bindMemory(to: UInt8.self).baseAddress
      stream.pointer.pointee.avail_out = room.count
      status = lzma_code(stream.pointer, LZMA_FINISH)
      return stream.pointer.pointee.avail_out
    }
    switch status {
    case LZMA_STREAM_END: return data.count - stream.pointer.pointee.avail_in
    case LZMA_OK:
      // Without an end mark a .lzma stream of unknown size stops asking when its input is used up.
      if produced == 0 && before == stream.pointer.pointee.avail_in { throw .truncated(format) }
    case LZMA_BUF_ERROR: throw .truncated(format)
    case LZMA_MEM_ERROR: throw .outOfMemory
    case LZMA_MEMLIMIT_ERROR: throw .unsupported(format, "a dictionary over 1.5 GiB")
    case LZMA_FORMAT_ERROR: throw .corrupt(format, "its header is none of \(format.displayName)")
    case LZMA_OPTIONS_ERROR: throw .unsupported(format, "a filter or option")
    default: throw .corrupt(format, "its checksum or its data does not hold")
    }
  }
}
