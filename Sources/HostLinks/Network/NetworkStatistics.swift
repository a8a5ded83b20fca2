/// What `--stats` says of a network card. Counted from the guest's side: `tx` is what the guest sent.
public struct NetworkStatistics: Codable, Sendable, Equatable {
  public var dev: String
  public var rxBytes: UInt64 = 0
  public var txBytes: UInt64 = 0
  public var rxPackets: UInt64 = 0
  public var txPackets: UInt64 = 0
  /// Frames lost for want of buffers, and requests answered with an error.
  public var rxDropped: UInt64 = 0
  public var txErrors: UInt64 = 0

  public init(dev: String) { self.dev = dev }

  enum CodingKeys: String, CodingKey {
    case dev
    case rxBytes = "rx_bytes"
    case txBytes = "tx_bytes"
    case rxPackets = "rx_packets"
    case txPackets = "tx_packets"
    case rxDropped = "rx_dropped"
    case txErrors = "tx_errors"
  }
}
