/// Saving and restoring: what domains have set is data; what this process has set (its watches) is set again by whoever
/// watches and survives `restore`.
extension Store {
  public struct State: Codable, Sendable {
    struct SavedWatch: Codable, Sendable {
      var domain: DomainNumber
      var path: String
      var isRelative: Bool
      var token: [UInt8]
    }
    struct SavedTransaction: Codable, Sendable {
      var domain: DomainNumber
      var id: UInt32
      var paths: [String]
      var touched: [Transaction.Touched]
      var changes: [Transaction.Change]
      var owners: [DomainNumber]
      var deltas: [Int]
    }
    struct Counter: Codable, Sendable {
      var domain: DomainNumber
      var next: UInt32
    }
    var tree: Tree
    var watches: [SavedWatch]
    var transactions: [SavedTransaction]
    var counters: [Counter]
    var introduced: [DomainNumber]
    var connections: [Connection.State]
  }

  /// - Precondition: no watch is being delivered.
  public func save() -> State {
    let keys = transactions.keys.sorted { ($0.domain, $0.id) < ($1.domain, $1.id) }
    let saved = keys.map { key in
      let transaction = transactions[key]!
      let owners = transaction.ownedDelta.keys.sorted()
      return State.SavedTransaction(
        domain: key.domain, id: key.id, paths: transaction.order, touched: transaction.order.map { transaction.touched[$0]! },
        changes: transaction.changes, owners: owners, deltas: owners.map { transaction.ownedDelta[$0]! })
    }
    let domainWatches = watches.filter { $0.handler == nil }
    return State(
      tree: tree,
      watches: domainWatches.map {
        State.SavedWatch(domain: $0.domain, path: $0.path, isRelative: $0.isRelative, token: $0.token)
      },
      transactions: saved,
      counters: nextTransaction.keys.sorted().map { State.Counter(domain: $0, next: nextTransaction[$0]!) },
      introduced: introduced, connections: connections.map(\.state))
  }

  /// Takes over a saved state. Domains are introduced (with their rings) before; events are not fired again.
  public func restore(_ state: State) {
    tree = state.tree
    watches.removeAll { $0.handler == nil }
    for saved in state.watches {
      watches.append(
        Watch(identity: nextWatch, domain: saved.domain, path: saved.path, isRelative: saved.isRelative, token: saved.token))
      nextWatch &+= 1
    }
    transactions = [:]
    for saved in state.transactions {
      var transaction = Transaction()
      for (path, entry) in zip(saved.paths, saved.touched) {
        transaction.order.append(path)
        transaction.touched[path] = entry
      }
      transaction.changes = saved.changes
      for (owner, delta) in zip(saved.owners, saved.deltas) { transaction.ownedDelta[owner] = delta }
      transactions[TransactionKey(domain: saved.domain, id: saved.id)] = transaction
    }
    nextTransaction = [:]
    for counter in state.counters { nextTransaction[counter.domain] = counter.next }
    introduced = state.introduced
    for saved in state.connections {
      connections.first { $0.domain == saved.domain }?.state = saved
    }
  }
}
