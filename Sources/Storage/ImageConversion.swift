/// What a conversion is to produce.
public struct ImageConversion: Sendable {
  public var format = ImageFormat.raw
  /// Compressed clusters, qcow2 only.
  public var compressed = false
  public var clusterBits = 16
  public var compression = Qcow2Compression.zlib
  public var lazyRefcounts = false
  public var version = 3
  public var refcountOrder = 4

  public init(format: ImageFormat = .raw, compressed: Bool = false) {
    self.format = format
    self.compressed = compressed
  }
}

/// Copies a disk from one image to a new one, in place of any file of that name. What reads as zeros takes no space in it, and
/// the backing files of the source become part of it.
/// - Parameters:
///   - sourceFormat: nil: what the source's first bytes say.
///   - progress: told how many bytes of the disk are done, of how many.
public func convertImage(
  from source: String, sourceFormat: ImageFormat? = nil, to target: String, _ conversion: ImageConversion,
  progress: ((UInt64, UInt64) -> Void)? = nil
) throws(StorageError) {
  guard conversion.format == .qcow2 || !conversion.compressed else { throw .unsupported(path: target, feature: "a compressed raw image") }
  let input = try openSource(path: source, format: sourceFormat, chain: ImageChain())
  if let there = try? ImageFile(path: target, readOnly: true, locking: false), uses(there.identity, in: input) {
    throw .unsupported(path: target, feature: "an image converted onto itself or a backing file of itself (take another name: it)")
  }
  switch conversion.format {
  case .raw: try convertToRaw(input, target, progress)
  case .qcow2: try convertToQcow2(input, target, conversion, progress)
  }
}

private func uses(_ identity: FileIdentity, in source: any ImageSource) -> Bool {
  var next: (any ImageSource)? = source
  while let source = next {
    if let core = source as? Qcow2Core {
      if core.file.identity == identity { return true }
      next = core.backing
    } else {
      return (source as? RawSource)?.file.identity == identity
    }
  }
  return false
}

/// Calls `body` with the data of the disk in pieces of at most `step` bytes that begin at multiples of it, and leaves out zeros.
private func forEachData(
  _ input: any ImageSource, step: Int, progress: ((UInt64, UInt64) -> Void)?,
  _ body: (UInt64, UnsafeRawBufferPointer) throws(StorageError) -> Void
) throws(StorageError) {
  let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: step, alignment: 16)
  defer { buffer.deallocate() }
  var position: UInt64 = 0
  while position < input.length {
    let zeros = try input.zeroRun(at: position, limit: input.length - position)
    // Whole steps only: a piece is looked at again where data begin in it.
    let skipped = position + zeros >= input.length ? zeros : zeros / UInt64(step) * UInt64(step)
    if skipped > 0 {
      position += skipped
      progress?(position, input.length)
      continue
    }
    let count = Int(min(UInt64(step), input.length - position))
    let piece = UnsafeMutableRawBufferPointer(rebasing: buffer[..<count])
    try input.read(into: piece, at: position)
    if !isAllZero(UnsafeRawBufferPointer(piece)) { try body(position, UnsafeRawBufferPointer(piece)) }
    position += UInt64(count)
    progress?(position, input.length)
  }
}

private func convertToRaw(_ input: any ImageSource, _ target: String, _ progress: ((UInt64, UInt64) -> Void)?) throws(StorageError) {
  let output = try ImageFile(creating: target)
  try output.truncate(to: input.length)
  try forEachData(input, step: 1 << 16, progress: progress) { offset, bytes throws(StorageError) in
    // Runs of whole pages that are zero stay holes.
    var start = 0
    while start < bytes.count {
      func isHole(_ at: Int) -> Bool { isAllZero(UnsafeRawBufferPointer(rebasing: bytes[at..<min(at + 4096, bytes.count)])) }
      if isHole(start) {
        start += 4096
        continue
      }
      var end = start
      while end < bytes.count, !isHole(end) { end += 4096 }
      end = min(end, bytes.count)
      try output.write(UnsafeRawBufferPointer(rebasing: bytes[start..<end]), at: offset + UInt64(start))
      start = end
    }
  }
  try output.synchronize()
}

private func convertToQcow2(
  _ input: any ImageSource, _ target: String, _ conversion: ImageConversion, _ progress: ((UInt64, UInt64) -> Void)?
) throws(StorageError) {
  let parameters = Qcow2Parameters(
    clusterBits: conversion.clusterBits, refcountOrder: conversion.refcountOrder, version: conversion.version,
    compression: conversion.compression, lazyRefcounts: conversion.lazyRefcounts)
  try Qcow2Core.create(path: target, size: (input.length + 511) / 512 * 512, parameters)
  let file = try ImageFile(path: target, readOnly: false)
  let core = try Qcow2Core(writable: file, chain: ImageChain())
  let size = core.geometry.clusterSize
  try forEachData(input, step: size, progress: progress) { offset, bytes throws(StorageError) in
    if core.isFull { try core.commit() }
    guard conversion.compressed else { return try core.write(bytes, at: offset) }
    let padding = [UInt8](repeating: 0, count: size - bytes.count)
    try core.writeCompressed(Array(bytes) + padding, cluster: offset >> UInt64(core.geometry.clusterBits))
  }
  try core.close()
}
