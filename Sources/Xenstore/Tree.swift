/// A node of the store. Children are listed in the order in which they were made.
struct Node: Codable, Equatable, Sendable {
  var value: [UInt8] = []
  var permissions: [Permission]
  var children: [String] = []
  /// Changes whenever the node does: what a transaction compares.
  var generation: UInt64 = 0

  var owner: DomainNumber { permissions.first?.domain ?? 0 }

  /// What the quota on a node's size counts.
  var byteCount: Int { children.reduce(value.count + 4 * permissions.count) { $0 + $1.utf8.count + 1 } }

  func allows(_ access: Permission.Access, _ domain: DomainNumber) -> Bool {
    guard domain != owner else { return true }
    for entry in permissions.dropFirst() where entry.domain == domain { return entry.access.isSuperset(of: access) }
    return permissions.first?.access.isSuperset(of: access) ?? false
  }
}

/// All nodes by absolute path. The dictionary is looked up, never walked: order comes from `Node.children`.
struct Tree: Codable, Sendable {
  private(set) var nodes: [String: Node] = [:]
  /// Nodes per owner.
  private(set) var owned: [DomainNumber: Int] = [:]
  private var generation: UInt64 = 0

  init() { nodes["/"] = Node(permissions: [Permission(0, .read)]) }

  subscript(path: String) -> Node? { nodes[path] }

  mutating func put(_ path: String, _ node: Node) {
    generation &+= 1
    var node = node
    node.generation = generation
    if let old = nodes.updateValue(node, forKey: path) { owned[old.owner, default: 0] -= 1 }
    owned[node.owner, default: 0] += 1
  }

  mutating func delete(_ path: String) {
    if let old = nodes.removeValue(forKey: path) { owned[old.owner, default: 0] -= 1 }
  }

  // Saved as a list sorted by path, so that equal trees are saved as equal bytes.
  private struct Entry: Codable {
    var path: String
    var node: Node
  }
  private enum Key: String, CodingKey { case generation, nodes }

  init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    for entry in try container.decode([Entry].self, forKey: .nodes) {
      nodes[entry.path] = entry.node
      owned[entry.node.owner, default: 0] += 1
    }
    generation = try container.decode(UInt64.self, forKey: .generation)
  }

  func encode(to encoder: any Encoder) throws {
    var container = encoder.container(keyedBy: Key.self)
    let entries = nodes.keys.sorted().map { Entry(path: $0, node: nodes[$0]!) }
    try container.encode(entries, forKey: .nodes)
    try container.encode(generation, forKey: .generation)
  }
}
