/// The operations on nodes, as any domain may ask for them. Paths may be relative to the caller's own directory.
extension Store {
  /// READ: the value's bytes.
  public func read(_ path: String, as caller: Caller) throws(StoreError) -> [UInt8] {
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 1)
    return try node(path, .read, caller).value
  }

  /// DIRECTORY: the names of the children, in the order in which they were made.
  public func directory(_ path: String, as caller: Caller) throws(StoreError) -> [String] {
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 1)
    return try node(path, .read, caller).children
  }

  /// DIRECTORY_PART: the node's generation and its children.
  func directoryWithGeneration(_ path: String, as caller: Caller) throws(StoreError) -> (UInt64, [String]) {
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 1)
    let node = try node(path, .read, caller)
    return (node.generation, node.children)
  }

  /// GET_PERMS.
  public func permissions(_ path: String, as caller: Caller) throws(StoreError) -> [Permission] {
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 1)
    return try node(path, .read, caller).permissions
  }

  /// WRITE: sets a value; makes the node and its missing ancestors.
  public func write(_ path: String, _ value: [UInt8], as caller: Caller) throws(StoreError) {
    defer { settle() }
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 2)
    let changedNode: Node
    do {
      var node = try node(path, .write, caller)
      node.value = value
      try checkSize(node, caller)
      set(path, node, caller)
      changedNode = node
    } catch .noEntry {
      changedNode = try create(path, value, caller)
    }
    changed(path, permissions: changedNode.permissions, caller)
  }

  /// MKDIR: makes an empty node and its missing ancestors; a node that is there stays as it is.
  public func makeDirectory(_ path: String, as caller: Caller) throws(StoreError) {
    defer { settle() }
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    try checkTransactionSize(caller, adding: 2)
    do {
      _ = try node(path, .write, caller)
    } catch .noEntry {
      let node = try create(path, [], caller)
      changed(path, permissions: node.permissions, caller)
    }
  }

  /// RM: removes a node and all below it. A node that is not there is no error if its parent is.
  public func remove(_ path: String, as caller: Caller) throws(StoreError) {
    defer { settle() }
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    guard path != "/" else { throw .invalid }
    let parentPath = Path.parent(path)
    do {
      _ = try node(path, .write, caller)
    } catch .noEntry {
      guard look(parentPath, caller) != nil else { throw .noEntry }
      return
    }
    var doomed: [(path: String, node: Node)] = []
    gather(path, caller, &doomed)
    try checkTransactionSize(caller, adding: doomed.count + 1)
    if var parent = look(parentPath, caller) {
      parent.children.removeAll { $0 == Path.name(path) }
      set(parentPath, parent, caller)
    }
    for entry in doomed { set(entry.path, nil, caller) }
    for entry in doomed { changed(entry.path, exact: entry.path != path, permissions: entry.node.permissions, caller) }
  }

  /// SET_PERMS: only the owner may, and only domain 0 gives a node to another owner.
  public func setPermissions(_ path: String, _ permissions: [Permission], as caller: Caller) throws(StoreError) {
    defer { settle() }
    try checkTransaction(caller)
    let path = try Path.canonical(path, for: caller.domain)
    guard let owner = permissions.first else { throw .invalid }
    if !caller.isPrivileged && permissions.count > quotas.permissions { throw .noSpace }
    try checkTransactionSize(caller, adding: 1)
    var node = try node(path, .write, caller)
    guard owns(node, caller) else { throw .access }
    if !caller.isPrivileged && owner.domain != node.owner { throw .notPermitted }
    let before = node.permissions
    node.permissions = permissions
    try checkSize(node, caller)
    set(path, node, caller)
    // Who could see it before learns of the change as well as who can now.
    let seen = allowsAnyone(before) ? before : permissions
    changed(path, permissions: seen, caller)
  }

  private func allowsAnyone(_ permissions: [Permission]) -> Bool { permissions.first?.access.contains(.read) ?? false }

  /// Children first, so that watches below a removed node hear of it before those above.
  private func gather(_ path: String, _ caller: Caller, _ list: inout [(path: String, node: Node)]) {
    // Deep trees are walked with a stack of our own: a guest chooses the depth.
    var stack = [(path: path, next: 0)]
    while let top = stack.last {
      guard let node = look(top.path, caller) else {
        stack.removeLast()
        continue
      }
      if top.next < node.children.count {
        stack[stack.count - 1].next += 1
        stack.append((Path.child(top.path, node.children[top.next]), 0))
      } else {
        list.append((top.path, node))
        stack.removeLast()
      }
    }
  }

  /// Makes a node and its missing ancestors; each has the permissions of the nearest ancestor that is there, and belongs to
  /// the caller unless that is domain 0.
  private func create(_ path: String, _ value: [UInt8], _ caller: Caller) throws(StoreError) -> Node {
    var missing: [String] = []
    var ancestor = path
    while ancestor != "/" && look(ancestor, caller) == nil {
      missing.append(ancestor)
      ancestor = Path.parent(ancestor)
    }
    guard var parent = look(ancestor, caller) else { throw .noEntry }
    guard allows(parent, .write, caller) else { throw .access }
    if !caller.isPrivileged {
      try checkTransactionSize(caller, adding: missing.count + 1)
      if ownedCount(caller.domain, caller) + missing.count > quotas.nodes { throw .noSpace }
    }
    var permissions = parent.permissions
    if !caller.isPrivileged, let first = permissions.first { permissions[0] = Permission(caller.domain, first.access) }
    // Sizes are checked before anything is changed.
    let names = missing.map(Path.name)
    var node = Node(value: value, permissions: permissions)
    try checkSize(node, caller)
    for (index, name) in names.enumerated() {
      var holder = index == names.count - 1 ? parent : Node(permissions: permissions)
      holder.children.append(name)
      try checkSize(holder, caller)
    }
    if let top = names.last {
      parent.children.append(top)
      set(ancestor, parent, caller)
    }
    for index in missing.indices.reversed() {
      var made = Node(permissions: permissions)
      if index > 0 { made.children = [names[index - 1]] } else { made.value = value }
      set(missing[index], made, caller)
      node = made
    }
    return node
  }
}
