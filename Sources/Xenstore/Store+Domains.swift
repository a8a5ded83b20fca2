/// Domains come and go: the toolstack's part of the store.
extension Store {
  /// A domain has a ring now: it may ask, and `@introduceDomain` fires.
  @discardableResult public func introduce(_ domain: DomainNumber, ring: any StoreRing) -> Connection {
    connections.removeAll { $0.domain == domain }
    let connection = Connection(domain: domain, store: self, ring: ring)
    connections.append(connection)
    if !introduced.contains(domain) { introduced.append(domain) }
    connection.advertise()
    fireSpecial("@introduceDomain")
    settle()
    return connection
  }

  /// The domain is gone: its watches and transactions go, its nodes stay until the toolstack removes them, and
  /// `@releaseDomain` fires.
  public func release(_ domain: DomainNumber) {
    connections.removeAll { $0.domain == domain }
    introduced.removeAll { $0 == domain }
    dropWatches(of: domain)
    dropTransactions(of: domain)
    targets[domain] = nil
    fireSpecial("@releaseDomain")
    settle()
  }

  /// A domain has shut down but is still there: `@releaseDomain` fires so that tools look.
  public func domainShutDown() {
    fireSpecial("@releaseDomain")
    settle()
  }

  public func isIntroduced(_ domain: DomainNumber) -> Bool { introduced.contains(domain) }

  /// SET_TARGET: a domain may do whatever its target may.
  func setTarget(of domain: DomainNumber, to target: DomainNumber) { targets[domain] = target }
}
