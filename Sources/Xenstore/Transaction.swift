/// A transaction sees the store as it was when it first touched each node, plus its own changes; nobody else sees those before
/// the commit. The commit fails with EAGAIN if a node that it touched has changed, appeared or gone meanwhile.
struct Transaction: Codable, Sendable {
  struct Touched: Codable, Sendable {
    /// The generation found in the store, nil where there was no node.
    var generation: UInt64?
    /// The transaction's own idea of the node.
    var node: Node?
    var changed = false
  }

  /// A change to be told to the watches at the commit.
  struct Change: Codable, Sendable {
    var path: String
    /// Only watches on this very path hear of it.
    var exact: Bool
    var permissions: [Permission]
  }

  var touched: [String: Touched] = [:]
  /// Paths in the order of first touch: the order in which the commit applies them.
  var order: [String] = []
  var changes: [Change] = []
  /// What the changes add to each domain's number of nodes.
  var ownedDelta: [DomainNumber: Int] = [:]

  /// The node as the transaction sees it, noting that it was looked at.
  mutating func look(_ path: String, in tree: Tree) -> Node? {
    if let known = touched[path] { return known.node }
    let node = tree[path]
    touched[path] = Touched(generation: node?.generation, node: node)
    order.append(path)
    return node
  }

  mutating func set(_ path: String, _ node: Node?, in tree: Tree) {
    let old = look(path, in: tree)
    if let old { ownedDelta[old.owner, default: 0] -= 1 }
    if let node { ownedDelta[node.owner, default: 0] += 1 }
    touched[path]?.node = node
    touched[path]?.changed = true
  }

  /// Whether the store still is what the transaction saw.
  func isCurrent(_ tree: Tree) -> Bool {
    for path in order where touched[path]?.generation != tree[path]?.generation { return false }
    return true
  }

  func apply(to tree: inout Tree) {
    for path in order {
      guard let entry = touched[path], entry.changed else { continue }
      if let node = entry.node { tree.put(path, node) } else { tree.delete(path) }
    }
  }
}
