/// What an unprivileged domain may use of the store. The defaults are xenstored's.
public struct Quotas: Codable, Equatable, Sendable {
  /// Nodes that a domain owns. Beyond: ENOSPC.
  public var nodes = 1000
  /// Watches. Beyond: E2BIG.
  public var watches = 128
  /// Bytes of a node: value, names of the children, permissions. Beyond: ENOSPC.
  public var nodeBytes = 2048
  /// Transactions open at one time. Beyond: ENOSPC.
  public var transactions = 10
  /// Nodes that one transaction touches. Beyond: ENOSPC.
  public var transactionNodes = 1024
  /// Entries of a node's permission list. Beyond: ENOSPC.
  public var permissions = 5
  /// Bytes of replies and events that wait for room in a domain's ring before its requests are left waiting too.
  public var pendingOutput = 65536
  /// Bytes of output at which a further event ends the connection.
  public var pendingEvents = 4 << 20

  public init() {}
}

/// Limits of the wire (io/xs_wire.h).
public enum WireLimit {
  /// XENSTORE_PAYLOAD_MAX.
  public static let payload = 4096
  /// XENSTORE_ABS_PATH_MAX.
  public static let absolutePath = 3072
  /// XENSTORE_REL_PATH_MAX.
  public static let relativePath = 2048
}
