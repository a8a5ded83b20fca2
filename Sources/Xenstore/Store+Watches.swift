/// A watch: whoever set it hears of every change of a node and of all below it.
struct Watch {
  var identity: UInt64
  var domain: DomainNumber
  /// Absolute or special.
  var path: String
  /// As it was given: a relative path is answered with relative paths.
  var isRelative: Bool
  var token: [UInt8]
  /// In-process watches call; a domain's watches send.
  var handler: ((Store.WatchEvent) -> Void)?
}

struct PendingEvent {
  var watch: UInt64
  /// As the watcher is to read it.
  var path: String
}

extension Store {
  /// What a watch tells: the path that changed (in the form in which the watch was set) and the watch's token.
  public struct WatchEvent: Equatable, Sendable {
    public var path: String
    public var token: String
  }

  /// A watch set in this process; see `unwatch`.
  public struct WatchHandle: Hashable, Sendable {
    let identity: UInt64
  }

  static let specialPaths = ["@introduceDomain", "@releaseDomain"]

  /// WATCH. The watch fires once at once, whether or not the node is there.
  func addWatch(
    _ path: String, token: [UInt8], domain: DomainNumber, handler: ((WatchEvent) -> Void)? = nil
  ) throws(StoreError) -> UInt64 {
    let absolute: String
    var isRelative = false
    if path.utf8.first == UInt8(ascii: "@") {
      guard Self.specialPaths.contains(path) else { throw .invalid }
      absolute = path
    } else {
      absolute = try Path.canonical(path, for: domain)
      isRelative = path.utf8.first != UInt8(ascii: "/")
    }
    if handler == nil {
      var count = 0
      for watch in watches where watch.domain == domain && watch.handler == nil {
        if watch.path == absolute && watch.token == token { throw .exists }
        count += 1
      }
      if domain != 0 && count >= quotas.watches { throw .tooBig }
    }
    let identity = nextWatch
    nextWatch &+= 1
    watches.append(
      Watch(identity: identity, domain: domain, path: absolute, isRelative: isRelative, token: token, handler: handler))
    events.append(PendingEvent(watch: identity, path: path))
    return identity
  }

  /// UNWATCH. Events of the watch that are still waiting are dropped with it.
  func removeWatch(_ path: String, token: [UInt8], domain: DomainNumber) throws(StoreError) {
    let absolute = path.utf8.first == UInt8(ascii: "@") ? path : try Path.canonical(path, for: domain)
    let index = watches.firstIndex {
      $0.domain == domain && $0.handler == nil && $0.path == absolute && $0.token == token
    }
    guard let index else { throw .noEntry }
    watches.remove(at: index)
  }

  /// RESET_WATCHES, and what is left when a domain goes.
  func dropWatches(of domain: DomainNumber) {
    watches.removeAll { $0.domain == domain && $0.handler == nil }
  }

  /// Queues an event for each watch that a change concerns.
  func fire(_ path: String, exact: Bool, permissions: [Permission]) {
    let seen = Node(permissions: permissions)
    for watch in watches {
      guard exact ? watch.path == path : Path.isWithin(path, watch.path) else { continue }
      guard allows(seen, .read, Caller(watch.domain)) else { continue }
      events.append(PendingEvent(watch: watch.identity, path: told(path, watch)))
    }
  }

  /// `@introduceDomain` and `@releaseDomain`: domain 0 alone hears of them.
  func fireSpecial(_ path: String) {
    for watch in watches where watch.path == path && watch.domain == 0 {
      events.append(PendingEvent(watch: watch.identity, path: path))
    }
  }

  private func told(_ path: String, _ watch: Watch) -> String {
    guard watch.isRelative else { return path }
    return String(decoding: path.utf8.dropFirst(Path.home(watch.domain).utf8.count + 1), as: UTF8.self)
  }

  /// Delivers what has arisen; every operation that changes the store ends with it. Inside a handler it does nothing: the
  /// outermost call goes on until nothing waits.
  func settle() {
    guard !isSettling else { return }
    isSettling = true
    while delivered < events.count {
      let event = events[delivered]
      delivered += 1
      if delivered == 1024 {
        events.removeFirst(delivered)
        delivered = 0
      }
      guard let watch = watches.first(where: { $0.identity == event.watch }) else { continue }
      if let handler = watch.handler {
        handler(WatchEvent(path: event.path, token: String(decoding: watch.token, as: UTF8.self)))
      } else if let connection = connections.first(where: { $0.domain == watch.domain }) {
        connection.queueEvent(path: event.path, token: watch.token)
      }
    }
    events.removeAll(keepingCapacity: true)
    delivered = 0
    isSettling = false
    for connection in connections where connection.hasOutput { connection.flush() }
  }
}
