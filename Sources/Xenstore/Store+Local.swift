/// The store as this process uses it: the toolstack and the back ends, with domain 0's rights.
extension Store {
  /// The value as text, or nil where there is no node.
  public func read(_ path: String) -> String? {
    guard let bytes = try? read(path, as: .control) else { return nil }
    return String(decoding: bytes, as: UTF8.self)
  }

  public func write(_ path: String, _ value: String) { try? write(path, Array(value.utf8), as: .control) }

  public func mkdir(_ path: String) { try? makeDirectory(path, as: .control) }

  /// Removes a node and all below it; a node that is not there is removed already.
  public func rm(_ path: String) { try? remove(path, as: .control) }

  /// Names of the children in the order in which they were made; empty where there is no node.
  public func directory(_ path: String) -> [String] { (try? directory(path, as: .control)) ?? [] }

  public func exists(_ path: String) -> Bool { (try? read(path, as: .control)) != nil }

  public func setPermissions(_ path: String, _ permissions: [Permission]) {
    try? setPermissions(path, permissions, as: .control)
  }

  public func permissions(_ path: String) -> [Permission] { (try? permissions(path, as: .control)) ?? [] }

  /// Watches a node and all below it. The handler is called once at once (or, inside a handler, after it), then after every change.
  @discardableResult
  public func watch(_ path: String, token: String = "", _ handler: @escaping (WatchEvent) -> Void) -> WatchHandle {
    let identity = try? addWatch(path, token: Array(token.utf8), domain: 0, handler: handler)
    settle()
    return WatchHandle(identity: identity ?? 0)
  }

  public func unwatch(_ handle: WatchHandle) { watches.removeAll { $0.identity == handle.identity } }

  /// All nodes below a path as `path = "value"` lines, children in the order in which they were made: for the monitor and for tests.
  public func listing(_ path: String = "/") -> [String] {
    var lines: [String] = []
    var stack = [path]
    while let top = stack.popLast() {
      guard let node = tree[top] else { continue }
      let perms = node.permissions.map(\.text).joined(separator: ",")
      lines.append("\(top) = \"\(String(decoding: node.value, as: UTF8.self))\" (\(perms))")
      for child in node.children.reversed() { stack.append(Path.child(top, child)) }
    }
    return lines
  }
}
