import Xenstore

/// The back half of the PV console (io/console.h): in[1024] at 0, out[2048] at 0x400, then in_cons, in_prod, out_cons, out_prod.
///
/// A guest whose output ring is full spins on `SCHEDOP_yield`, so `drain` is to be called on its event, on yield and when the
/// domain ends.
public final class ConsoleBackEnd {
  private enum Field {
    static let input = 0, output = 0x400
    static let inputConsumer = 0xC00, inputProducer = 0xC04, outputConsumer = 0xC08, outputProducer = 0xC0C
  }
  static let inputSize: UInt32 = 1024
  static let outputSize: UInt32 = 2048

  /// Where the guest's output goes.
  public var sink: ([UInt8]) -> Void
  public let port: UInt32
  private var binding: PortBinding?
  /// Bytes that the guest has written.
  public private(set) var outputBytes: UInt64 = 0
  private let guest: any GuestInterface
  private let page: SharedPages
  /// Input that waits for room.
  private var waiting: [UInt8] = []
  /// Beyond, input is lost as on a line without flow control.
  static let waitingLimit = 1 << 20

  /// - Parameter address: machine address of the console page.
  public init(guest: any GuestInterface, address: UInt64, port: UInt32, sink: @escaping ([UInt8]) -> Void) {
    self.guest = guest
    self.port = port
    self.sink = sink
    page = SharedPages(guest: guest, pages: [GrantedPage(address: address, handle: 0)])
  }

  /// Takes the console's event channel; false if the guest has none to offer.
  public func bind() -> Bool {
    binding = guest.bindPort(port) { [weak self] in self?.service() }
    return binding != nil
  }

  private func notify() {
    if let binding { guest.notify(binding) }
  }

  /// The guest sent: takes its output and gives it the input that waits.
  public func service() {
    let took = take()
    let gave = give()
    if took || gave { notify() }
  }

  /// Takes the guest's output, and tells the guest if there was any.
  public func drain() {
    if take() { notify() }
  }

  /// Input for the guest.
  public func feed(_ bytes: [UInt8]) {
    waiting += bytes.prefix(max(Self.waitingLimit - waiting.count, 0))
    if give() { notify() }
  }

  private func take() -> Bool {
    let consumer = page.load32(Field.outputConsumer)
    let producer = page.load32(Field.outputProducer)
    let count = producer &- consumer
    guard count > 0, count <= Self.outputSize else { return false }
    let bytes = copyOut(Field.output, Self.outputSize, consumer, count)
    page.store32(producer, at: Field.outputConsumer)
    outputBytes &+= UInt64(count)
    sink(bytes)
    return true
  }

  private func give() -> Bool {
    guard !waiting.isEmpty else { return false }
    let consumer = page.load32(Field.inputConsumer)
    let producer = page.load32(Field.inputProducer)
    let used = producer &- consumer
    guard used < Self.inputSize else { return false }
    let count = min(Self.inputSize - used, UInt32(min(waiting.count, 1024)))
    let start = producer & (Self.inputSize - 1)
    let first = min(count, Self.inputSize - start)
    page.copyIn(Array(waiting.prefix(Int(first))), at: Field.input + Int(start))
    if first < count { page.copyIn(Array(waiting[Int(first)..<Int(count)]), at: Field.input) }
    page.store32(producer &+ count, at: Field.inputProducer)
    waiting.removeFirst(Int(count))
    return true
  }

  private func copyOut(_ base: Int, _ size: UInt32, _ from: UInt32, _ count: UInt32) -> [UInt8] {
    let start = from & (size - 1)
    let first = min(count, size - start)
    var bytes = page.copyOut(base + Int(start), count: Int(first))
    if first < count { bytes += page.copyOut(base, count: Int(count - first)) }
    return bytes
  }

  /// Input that the guest has not had room for: part of a saved machine.
  public var state: [UInt8] {
    get { waiting }
    set { waiting = newValue }
  }
}
