/// What `--stats` says of a disk.
public struct BlockStatistics: Codable, Sendable, Equatable {
  public var dev: String
  public var readBytes: UInt64 = 0
  public var writeBytes: UInt64 = 0
  public var readRequests: UInt64 = 0
  public var writeRequests: UInt64 = 0
  public var flushes: UInt64 = 0
  public var discards: UInt64 = 0
  /// Requests answered with an error.
  public var errors: UInt64 = 0

  public init(dev: String) { self.dev = dev }

  enum CodingKeys: String, CodingKey {
    case dev, flushes, discards, errors
    case readBytes = "read_bytes"
    case writeBytes = "write_bytes"
    case readRequests = "read_requests"
    case writeRequests = "write_requests"
  }
}
