import CBzip2

func bunzip2(_ data: UnsafeRawBufferPointer, limit: Int) throws(CompressionError) -> [UInt8] {
  var output = try OutputBuffer(format: .bzip2, limit: limit, expecting: data.count &* 6)
  var offset = 0
  repeat {
    offset += try bunzip2Stream(UnsafeRawBufferPointer(rebasing: data[offset...]), into: &output)
  } while CompressionFormat.detect(UnsafeRawBufferPointer(rebasing: data[offset...])) == .bzip2
  return try output.finish()
}

/// Decodes one stream; returns the input bytes it took.
private func bunzip2Stream(_ data: UnsafeRawBufferPointer, into output: inout OutputBuffer) throws(CompressionError) -> Int {
  let stream = CStream(bz_stream())
  defer { stream.free() }
  guard BZ2_bzDecompressInit(stream.pointer, 0, 0) == BZ_OK else { throw .outOfMemory }
  defer { BZ2_bzDecompressEnd(stream.pointer) }
  let input = data.bindMemory(to: CChar.self)
  var offset = 0
  while true {
    let given = min(decoderStep, data.count - offset)
    stream.pointer.pointee.next_in = UnsafeMutablePointer(mutating: input.baseAddress?.advanced(by: offset))
    stream.pointer.pointee.avail_in = UInt32(given)
    var status = BZ_OK
    let produced = try output.step { room in
      stream.pointer.pointee.next_out = room.bindMemory(to: CChar.self).baseAddress
      stream.pointer.pointee.avail_out = UInt32(room.count)
      status = BZ2_bzDecompress(stream.pointer)
      return Int(stream.pointer.pointee.avail_out)
    }
    let taken = given - Int(stream.pointer.pointee.avail_in)
    offset += taken
    switch status {
    case BZ_STREAM_END: return offset
    case BZ_OK: if taken == 0 && produced == 0 { throw .truncated(.bzip2) }
    case BZ_MEM_ERROR: throw .outOfMemory
    default: throw .corrupt(.bzip2, "its checksum or its data does not hold")
    }
  }
}
