/// The page that a domain shares with the store (io/xs_wire.h, struct xenstore_domain_interface) and the event channel that
/// goes with it. Offsets are bytes within the page; the guest may change any byte at any time, and what lies outside reads as 0.
public protocol StoreRing: AnyObject {
  func load(_ offset: Int) -> UInt32
  func store(_ value: UInt32, at offset: Int)
  func copyOut(_ offset: Int, count: Int) -> [UInt8]
  func copyIn(_ bytes: ArraySlice<UInt8>, at offset: Int)
  /// Sends on the store's event channel.
  func notify()
}

/// One domain's side of the store: takes requests off its ring, puts replies and events on it.
///
/// Messages go out whole and one after another, so an event never stands inside a reply. Both indices that the guest writes are
/// read once for each use; ones that make no sense end the connection (the error word says so), never the store.
public final class Connection {
  /// The error word (XENSTORE_ERROR_*).
  public enum Failure: UInt32, Codable, Sendable {
    case none = 0, communication, ringIndex, protocolViolation
  }

  enum Field {
    static let requests = 0, responses = 0x400
    static let requestConsumer = 0x800, requestProducer = 0x804, responseConsumer = 0x808, responseProducer = 0x80C
    static let features = 0x810, connection = 0x814, error = 0x818
  }
  static let ringSize: UInt32 = 1024

  public let domain: DomainNumber
  public private(set) var failure = Failure.none
  /// The store holds its connections and they hold it: `release` breaks the ring.
  let store: Store
  private let ring: any StoreRing
  /// A request that has not arrived whole.
  private var input: [UInt8] = []
  /// What waits for room; bytes before `sent` are gone.
  private var output: [UInt8] = []
  private var sent = 0
  private var isServing = false

  init(domain: DomainNumber, store: Store, ring: any StoreRing) {
    self.domain = domain
    self.store = store
    self.ring = ring
  }

  var hasOutput: Bool { sent < output.count }

  /// Says in the page that this store knows how to reconnect and to report errors.
  func advertise() {
    ring.store(3, at: Field.features)
    ring.store(0, at: Field.error)
  }

  /// The guest sent on the store's event channel (or may have): takes and answers all that is there.
  public func service() {
    guard !isServing else { return }
    isServing = true
    defer { isServing = false }
    if ring.load(Field.connection) == 1 { reconnect() }
    guard failure == .none else { return }
    var moved = false
    while failure == .none {
      moved = push() || moved
      guard output.count - sent < store.quotas.pendingOutput else { break }
      let pulled = pull()
      moved = pulled || moved
      let answered = answerOne()
      if !pulled && !answered { break }
    }
    if failure == .none { moved = push() || moved }
    if moved { ring.notify() }
  }

  /// Puts waiting output on the ring as far as there is room.
  func flush() {
    guard !isServing, failure == .none else { return }
    if push() { ring.notify() }
  }

  func queueEvent(path: String, token: [UInt8]) {
    guard failure == .none else { return }
    var payload = Array(path.utf8)
    payload.append(0)
    payload += token
    payload.append(0)
    // A path and a token that fill a request on their own can come to more than an event holds.
    guard payload.count <= WireLimit.payload else { return }
    // Whoever never looks at its ring does not make this process keep events for ever.
    guard output.count - sent < store.quotas.pendingEvents else { return fail(.communication) }
    append(MessageType.watchEvent.rawValue, request: 0, transaction: 0, payload)
  }

  private func append(_ type: UInt32, request: UInt32, transaction: UInt32, _ payload: [UInt8]) {
    let header = MessageHeader(type: type, request: request, transaction: transaction, length: UInt32(payload.count))
    output += header.bytes
    output += payload
  }

  /// Takes one whole request from `input` and answers it; false if none is whole.
  private func answerOne() -> Bool {
    guard input.count >= MessageHeader.byteCount else { return false }
    let header = MessageHeader(input[0..<MessageHeader.byteCount])
    guard header.length <= UInt32(WireLimit.payload) else {
      fail(.protocolViolation)
      return false
    }
    let whole = MessageHeader.byteCount + Int(header.length)
    guard input.count >= whole else { return false }
    let payload = Payload(bytes: input[MessageHeader.byteCount..<whole])
    var reply: [UInt8]
    var type = header.type
    // The store must not deliver before the reply is queued: replies come before the events of the same request.
    let wasSettling = store.isSettling
    store.isSettling = true
    do throws(StoreError) {
      reply = try store.answer(header, payload, from: domain)
      if reply.count > WireLimit.payload { throw .tooBig }
    } catch {
      type = MessageType.error.rawValue
      reply = Array(error.rawValue.utf8) + [0]
    }
    store.isSettling = wasSettling
    append(type, request: header.request, transaction: header.transaction, reply)
    input.removeFirst(whole)
    store.settle()
    return true
  }

  /// Moves bytes from the ring to `input`, at most one request's worth; false if there were none.
  private func pull() -> Bool {
    let consumer = ring.load(Field.requestConsumer)
    let producer = ring.load(Field.requestProducer)
    let available = producer &- consumer
    guard available <= Self.ringSize else {
      fail(.ringIndex)
      return false
    }
    let room = MessageHeader.byteCount + WireLimit.payload - input.count
    let count = min(available, UInt32(max(room, 0)))
    guard count > 0 else { return false }
    let start = consumer & (Self.ringSize - 1)
    let first = min(count, Self.ringSize - start)
    input += ring.copyOut(Field.requests + Int(start), count: Int(first))
    if first < count { input += ring.copyOut(Field.requests, count: Int(count - first)) }
    ring.store(consumer &+ count, at: Field.requestConsumer)
    return true
  }

  /// Moves waiting output to the ring; false if nothing moved.
  private func push() -> Bool {
    guard hasOutput else { return false }
    let consumer = ring.load(Field.responseConsumer)
    let producer = ring.load(Field.responseProducer)
    let used = producer &- consumer
    guard used <= Self.ringSize else {
      fail(.ringIndex)
      return false
    }
    let count = min(Self.ringSize - used, UInt32(min(output.count - sent, 1024)))
    guard count > 0 else { return false }
    let start = producer & (Self.ringSize - 1)
    let first = min(count, Self.ringSize - start)
    ring.copyIn(output[sent..<sent + Int(first)], at: Field.responses + Int(start))
    if first < count { ring.copyIn(output[sent + Int(first)..<sent + Int(count)], at: Field.responses) }
    ring.store(producer &+ count, at: Field.responseProducer)
    sent += Int(count)
    if sent == output.count {
      output.removeAll(keepingCapacity: true)
      sent = 0
    } else if sent >= 65536 {
      output.removeFirst(sent)
      sent = 0
    }
    return true
  }

  /// Ends the connection: the guest may start anew through the reconnection word.
  private func fail(_ why: Failure) {
    failure = why
    ring.store(why.rawValue, at: Field.error)
    input = []
    output = []
    sent = 0
  }

  /// XENSTORE_RECONNECT: what was under way is forgotten, the indices start at 0.
  private func reconnect() {
    input = []
    output = []
    sent = 0
    failure = .none
    store.dropWatches(of: domain)
    store.dropTransactions(of: domain)
    for field in [Field.requestConsumer, Field.requestProducer, Field.responseConsumer, Field.responseProducer, Field.error] {
      ring.store(0, at: field)
    }
    ring.store(0, at: Field.connection)
    ring.notify()
  }
}

extension Connection {
  /// What a saved machine keeps of a connection.
  public struct State: Codable, Sendable {
    var domain: DomainNumber
    var failure: Failure
    var input: [UInt8]
    var output: [UInt8]
  }

  var state: State {
    get { State(domain: domain, failure: failure, input: input, output: Array(output[sent...])) }
    set {
      failure = newValue.failure
      input = newValue.input
      output = newValue.output
      sent = 0
    }
  }
}
