/// The store: a tree of small values that domains share, with permissions, transactions and watches, as xenstored keeps it
/// (docs/misc/xenstore.txt, io/xs_wire.h).
///
/// It is used from the vCPU's thread only. A watch's handler runs after the operation that fired it has finished, in the order
/// in which the events arose and, for one event, the order in which the watches were set; a handler may use the store, and
/// what it fires comes after what was waiting already.
public final class Store {
  /// Who asks, and in which transaction (0: none).
  public struct Caller: Hashable, Sendable {
    public var domain: DomainNumber
    public var transaction: UInt32
    public init(_ domain: DomainNumber, transaction: UInt32 = 0) {
      self.domain = domain
      self.transaction = transaction
    }
    public static let control = Caller(0)
    /// Domain 0 may do everything.
    var isPrivileged: Bool { domain == 0 }
  }

  /// Domain 0's INTRODUCE over a ring: (domain, frame of its ring, its port). Nil: INTRODUCE is ENOSYS.
  public var introduceByFrame: ((DomainNumber, UInt64, UInt32) throws -> Void)?

  public var quotas = Quotas()
  var tree = Tree()
  var transactions: [TransactionKey: Transaction] = [:]
  var nextTransaction: [DomainNumber: UInt32] = [:]
  var watches: [Watch] = []
  var nextWatch: UInt64 = 1
  var introduced: [DomainNumber] = [0]
  var targets: [DomainNumber: DomainNumber] = [:]
  var connections: [Connection] = []
  /// Events that have arisen and are not yet delivered; those before `delivered` are.
  var events: [PendingEvent] = []
  var delivered = 0
  var isSettling = false

  struct TransactionKey: Hashable, Codable {
    var domain: DomainNumber
    var id: UInt32
  }

  public init() {}

  // MARK: - Looking

  func allows(_ node: Node, _ access: Permission.Access, _ caller: Caller) -> Bool {
    if caller.isPrivileged || node.allows(access, caller.domain) { return true }
    guard let target = targets[caller.domain] else { return false }
    return node.allows(access, target)
  }

  func owns(_ node: Node, _ caller: Caller) -> Bool {
    caller.isPrivileged || node.owner == caller.domain || targets[caller.domain] == node.owner
  }

  func look(_ path: String, _ caller: Caller) -> Node? {
    guard caller.transaction != 0 else { return tree[path] }
    return transactions[TransactionKey(domain: caller.domain, id: caller.transaction)]?.look(path, in: tree)
  }

  /// The node, if the caller may use it so. Who may not see where a node would be does not learn that it is not there.
  func node(_ path: String, _ access: Permission.Access, _ caller: Caller) throws(StoreError) -> Node {
    if let node = look(path, caller) {
      guard allows(node, access, caller) else { throw .access }
      return node
    }
    var ancestor = path
    while ancestor != "/" {
      ancestor = Path.parent(ancestor)
      guard let node = look(ancestor, caller) else { continue }
      if !allows(node, access, caller) { throw .access }
      break
    }
    throw .noEntry
  }

  func checkTransaction(_ caller: Caller) throws(StoreError) {
    guard caller.transaction != 0 else { return }
    guard transactions[TransactionKey(domain: caller.domain, id: caller.transaction)] != nil else { throw .noEntry }
  }

  // MARK: - Changing

  func set(_ path: String, _ node: Node?, _ caller: Caller) {
    guard caller.transaction != 0 else {
      if let node { tree.put(path, node) } else { tree.delete(path) }
      return
    }
    transactions[TransactionKey(domain: caller.domain, id: caller.transaction)]?.set(path, node, in: tree)
  }

  /// Tells the watches of a change, or leaves it for the commit.
  func changed(_ path: String, exact: Bool = false, permissions: [Permission], _ caller: Caller) {
    guard caller.transaction != 0 else { return fire(path, exact: exact, permissions: permissions) }
    let key = TransactionKey(domain: caller.domain, id: caller.transaction)
    if transactions[key]?.changes.contains(where: { $0.path == path && $0.exact == exact }) ?? true { return }
    transactions[key]?.changes.append(Transaction.Change(path: path, exact: exact, permissions: permissions))
  }

  /// Nodes that a domain owns, as the caller's transaction sees it.
  func ownedCount(_ domain: DomainNumber, _ caller: Caller) -> Int {
    let key = TransactionKey(domain: caller.domain, id: caller.transaction)
    let delta = caller.transaction == 0 ? 0 : transactions[key]?.ownedDelta[domain] ?? 0
    return (tree.owned[domain] ?? 0) + delta
  }

  func checkTransactionSize(_ caller: Caller, adding count: Int) throws(StoreError) {
    guard caller.transaction != 0, !caller.isPrivileged else { return }
    let key = TransactionKey(domain: caller.domain, id: caller.transaction)
    if (transactions[key]?.order.count ?? 0) + count > quotas.transactionNodes { throw .noSpace }
  }

  func checkSize(_ node: Node, _ caller: Caller) throws(StoreError) {
    if !caller.isPrivileged && node.byteCount > quotas.nodeBytes { throw .noSpace }
  }
}
