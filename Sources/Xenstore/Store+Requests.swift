/// Answers one request of the wire: the payload of the reply, or the error.
extension Store {
  func answer(_ header: MessageHeader, _ payload: Payload, from domain: DomainNumber) throws(StoreError) -> [UInt8] {
    guard let type = MessageType(rawValue: header.type) else { throw .notImplemented }
    let caller = Caller(domain, transaction: header.transaction)
    try checkTransaction(caller)
    switch type {
    case .read:
      return try read(path(payload), as: caller)
    case .directory:
      return list(try directory(path(payload), as: caller))
    case .directoryPart:
      return try directoryPart(payload, caller)
    case .getPermissions:
      return list(try permissions(path(payload), as: caller).map(\.text))
    case .write:
      let (name, value) = try payload.stringAndRest()
      try write(Payload.text(name), Array(value), as: caller)
    case .makeDirectory:
      try makeDirectory(path(payload), as: caller)
    case .remove:
      try remove(path(payload), as: caller)
    case .setPermissions:
      try setPermissions(payload, caller)
    case .watch:
      let parts = try payload.strings(2)
      _ = try addWatch(Payload.text(parts[0]), token: Array(parts[1]), domain: domain)
    case .unwatch:
      let parts = try payload.strings(2)
      try removeWatch(Payload.text(parts[0]), token: Array(parts[1]), domain: domain)
    case .resetWatches:
      dropWatches(of: domain)
      dropTransactions(of: domain)
    case .transactionStart:
      guard header.transaction == 0 else { throw .busy }
      return list([String(try startTransaction(domain))])
    case .transactionEnd:
      let flag = try payload.strings(1)[0]
      guard flag.count == 1, let letter = flag.first, letter == UInt8(ascii: "T") || letter == UInt8(ascii: "F") else {
        throw .invalid
      }
      try endTransaction(caller, commit: letter == UInt8(ascii: "T"))
    case .getDomainPath:
      return list([Path.home(try domainNumber(payload.strings(1)[0]))])
    case .isDomainIntroduced:
      let number = try domainNumber(payload.strings(1)[0])
      return list([number == 0x7FF0 || isIntroduced(number) ? "T" : "F"])
    case .control, .introduce, .release, .resume, .setTarget:
      guard caller.isPrivileged else { throw .access }
      return try administer(type, payload)
    case .watchEvent, .error:
      throw .notImplemented
    }
    return list(["OK"])
  }

  private func administer(_ type: MessageType, _ payload: Payload) throws(StoreError) -> [UInt8] {
    let parts = try payload.strings()
    switch type {
    case .introduce:
      guard parts.count >= 3, let frame = decimal(parts[1]), let port = decimal(parts[2]), port <= UInt64(UInt32.max) else {
        throw .invalid
      }
      let domain = try domainNumber(parts[0])
      guard let introduceByFrame else { throw .notImplemented }
      do { try introduceByFrame(domain, frame, UInt32(port)) } catch { throw .invalid }
    case .release:
      guard parts.count == 1 else { throw .invalid }
      let domain = try domainNumber(parts[0])
      guard domain != 0, isIntroduced(domain) else { throw domain == 0 ? .invalid : .noEntry }
      release(domain)
    case .resume:
      guard parts.count == 1 else { throw .invalid }
      guard isIntroduced(try domainNumber(parts[0])) else { throw .noEntry }
    case .setTarget:
      guard parts.count == 2 else { throw .invalid }
      setTarget(of: try domainNumber(parts[0]), to: try domainNumber(parts[1]))
    default:
      // CONTROL has no command here that a guest could need.
      throw .invalid
    }
    return list(["OK"])
  }

  private func setPermissions(_ payload: Payload, _ caller: Caller) throws(StoreError) {
    let parts = try payload.strings()
    guard parts.count >= 2 else { throw .invalid }
    var permissions: [Permission] = []
    for part in parts.dropFirst() {
      guard let permission = Permission(text: part) else { throw .invalid }
      permissions.append(permission)
    }
    try setPermissions(Payload.text(parts[0]), permissions, as: caller)
  }

  /// The generation, then as many whole names from a byte offset as fit; after the last name an empty one.
  private func directoryPart(_ payload: Payload, _ caller: Caller) throws(StoreError) -> [UInt8] {
    let parts = try payload.strings(2)
    guard let offset = decimal(parts[1]) else { throw .invalid }
    let (generation, children) = try directoryWithGeneration(Payload.text(parts[0]), as: caller)
    let names = list(children)
    var result = list([String(generation)])
    guard offset <= UInt64(names.count) else { throw .invalid }
    let rest = names[Int(offset)...]
    let room = WireLimit.payload - result.count - 1
    guard rest.count > room else { return result + rest + [0] }
    guard let end = rest.prefix(room).lastIndex(of: 0) else { throw .tooBig }
    result += rest[...end]
    return result
  }

  private func path(_ payload: Payload) throws(StoreError) -> String { Payload.text(try payload.strings(1)[0]) }

  private func domainNumber(_ text: ArraySlice<UInt8>) throws(StoreError) -> DomainNumber {
    guard let number = decimal(text), number <= 0x7FF0 else { throw .invalid }
    return DomainNumber(number)
  }

  private func list(_ strings: [String]) -> [UInt8] {
    var bytes: [UInt8] = []
    for string in strings {
      bytes += string.utf8
      bytes.append(0)
    }
    return bytes
  }
}
