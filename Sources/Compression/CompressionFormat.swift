/// The formats that kernels, ramdisks and disk images come in.
public enum CompressionFormat: String, Sendable, CaseIterable {
  /// RFC 1952, any number of members.
  case gzip
  /// The .xz container with any filters liblzma knows, the x86 BCJ filter of Linux kernels among them.
  case xz
  /// The old .lzma ("alone") format.
  case lzma
  case bzip2
  /// The LZ4 frame format, linked or independent blocks.
  case lz4
  /// The frame of early lz4 versions, which Linux kernels still use: no end mark, no checksums, blocks of 8 MiB.
  case lz4Legacy
  /// LZO1X in the container of lzop.
  case lzo
  case zstd

  /// The format whose magic number begins `prefix`; nil if none does. Nine bytes are enough for all of them.
  public static func detect(_ prefix: some Sequence<UInt8>) -> CompressionFormat? {
    let head = Array(prefix.prefix(13))
    func begins(_ magic: [UInt8]) -> Bool { head.starts(with: magic) }
    if begins([0x1F, 0x8B]) { return .gzip }
    if begins([0xFD, 0x37, 0x7A, 0x58, 0x5A, 0x00]) { return .xz }
    if begins([0x42, 0x5A, 0x68]) { return .bzip2 }
    if begins([0x04, 0x22, 0x4D, 0x18]) { return .lz4 }
    if begins([0x02, 0x21, 0x4C, 0x18]) { return .lz4Legacy }
    if begins([0x89, 0x4C, 0x5A, 0x4F, 0x00, 0x0D, 0x0A, 0x1A, 0x0A]) { return .lzo }
    if begins([0x28, 0xB5, 0x2F, 0xFD]) { return .zstd }
    // .lzma has no magic number: 0x5D is the usual lc/lp/pb, and a dictionary size is a multiple of 64 KiB.
    if begins([0x5D, 0x00, 0x00]) { return .lzma }
    return nil
  }

  /// The name for messages.
  public var displayName: String {
    switch self {
    case .gzip: "gzip"
    case .xz: "XZ"
    case .lzma: "LZMA"
    case .bzip2: "bzip2"
    case .lz4: "LZ4"
    case .lz4Legacy: "LZ4 (legacy frame)"
    case .lzo: "LZO"
    case .zstd: "Zstandard"
    }
  }
}

/// Why data could not be decompressed. Hostile data ends here, never in a trap.
public enum CompressionError: Error, Equatable, Sendable, CustomStringConvertible {
  /// The data ends before the stream does.
  case truncated(CompressionFormat)
  /// What is wrong with the stream.
  case corrupt(CompressionFormat, String)
  /// The stream is well formed as far as read and asks for something that is not supported.
  case unsupported(CompressionFormat, String)
  /// The decompressed data is longer than the limit, in bytes.
  case tooLarge(CompressionFormat, limit: Int)
  /// The host has no memory for it.
  case outOfMemory

  public var description: String {
    switch self {
    case .truncated(let format): "the \(format.displayName) data ends too early: the file is truncated"
    case .corrupt(let format, let what): "the \(format.displayName) data is corrupt: \(what)"
    case .unsupported(let format, let what): "the \(format.displayName) data uses \(what), which is not supported"
    case .tooLarge(let format, let limit): "the \(format.displayName) data unpacks to more than \(limit) bytes"
    case .outOfMemory: "there is not enough memory to unpack the data"
    }
  }
}
