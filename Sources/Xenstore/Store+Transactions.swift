extension Store {
  /// TRANSACTION_START: the transaction's number, never 0.
  public func startTransaction(_ domain: DomainNumber) throws(StoreError) -> UInt32 {
    if domain != 0 && openTransactions(domain) >= quotas.transactions { throw .noSpace }
    var id = nextTransaction[domain] ?? 1
    while id == 0 || transactions[TransactionKey(domain: domain, id: id)] != nil { id &+= 1 }
    nextTransaction[domain] = id &+ 1
    transactions[TransactionKey(domain: domain, id: id)] = Transaction()
    return id
  }

  /// TRANSACTION_END. The transaction is gone afterwards, whatever the result.
  /// - Throws: ENOENT for an unknown transaction; EAGAIN if the commit conflicts; ENOSPC if the domain has used up its nodes meanwhile.
  public func endTransaction(_ caller: Caller, commit: Bool) throws(StoreError) {
    let key = TransactionKey(domain: caller.domain, id: caller.transaction)
    guard let transaction = transactions.removeValue(forKey: key) else { throw .noEntry }
    guard commit else { return }
    guard transaction.isCurrent(tree) else { throw .again }
    let grows = transaction.ownedDelta[caller.domain] ?? 0
    if !caller.isPrivileged && grows > 0 && (tree.owned[caller.domain] ?? 0) + grows > quotas.nodes { throw .noSpace }
    transaction.apply(to: &tree)
    for change in transaction.changes { fire(change.path, exact: change.exact, permissions: change.permissions) }
    settle()
  }

  func openTransactions(_ domain: DomainNumber) -> Int {
    transactions.keys.reduce(0) { $1.domain == domain ? $0 + 1 : $0 }
  }

  func dropTransactions(of domain: DomainNumber) {
    transactions = transactions.filter { $0.key.domain != domain }
  }
}
