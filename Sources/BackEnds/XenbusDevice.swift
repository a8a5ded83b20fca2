import Xenstore

/// The states of a split driver's halves (io/xenbus.h, enum xenbus_state).
public enum XenbusState: Int, Sendable, Codable {
  case unknown = 0, initialising, initWait, initialised, connected, closing, closed, reconfiguring, reconfigured
}

/// Why a back end refuses a front end; goes into the back end's `error` node.
struct ConnectFailure: Error, Equatable {
  var message: String
  init(_ message: String) { self.message = message }
}

/// What a kind of device adds to the common life of a back end.
protocol XenbusBackEnd: AnyObject {
  /// Reads what the front end has written and takes up its rings.
  func connect() throws(ConnectFailure)
  /// Lets go of everything that belongs to the guest; harmless if there is nothing.
  func disconnect()
}

/// The life of a back end in the store: InitWait, then Connected once the front end has written its keys, then Closing and Closed with
/// it; Initialising of a front end that comes back starts again.
final class XenbusDevice {
  let store: Store
  let frontPath: String
  let backPath: String
  /// The front end's state at which its keys are complete: 3 for disks (4 as well), 4 for network cards.
  let readyStates: [XenbusState]
  unowned let owner: any XenbusBackEnd
  private(set) var state = XenbusState.initialising
  private var watch: Store.WatchHandle?

  init(store: Store, frontPath: String, backPath: String, readyStates: [XenbusState], owner: any XenbusBackEnd) {
    self.store = store
    self.frontPath = frontPath
    self.backPath = backPath
    self.readyStates = readyStates
    self.owner = owner
  }

  /// Offers the device: the features are in the store, the front end may come.
  func start() {
    switchTo(.initWait)
    watch = store.watch(frontPath + "/state", token: backPath) { [weak self] _ in self?.frontChanged() }
  }

  /// Takes up the watch again after a restore; the state is as saved.
  func resume(_ saved: XenbusState) {
    state = saved
    watch = store.watch(frontPath + "/state", token: backPath) { [weak self] _ in self?.frontChanged() }
  }

  func stop() {
    if let watch { store.unwatch(watch) }
    watch = nil
    owner.disconnect()
  }

  /// Asks the front end to let go, as unplugging does: `online` 0 and Closing.
  func detach() {
    store.write(backPath + "/online", "0")
    if state == .connected || state == .initWait { switchTo(.closing) }
  }

  /// Ends the device after something that no correct front end does.
  func fail(_ message: String) {
    store.write("/local/domain/0/error" + backPath.replacingPrefix("/local/domain/0", with: "") + "/error", message)
    owner.disconnect()
    if state != .closed { switchTo(.closing) }
  }

  /// Says Connected once more: the front end reads the disk's size again.
  func announce() {
    if state == .connected { switchTo(.connected) }
  }

  private func switchTo(_ next: XenbusState) {
    state = next
    store.write(backPath + "/state", String(next.rawValue))
  }

  private var frontState: XenbusState {
    store.read(frontPath + "/state").flatMap { Int($0) }.flatMap(XenbusState.init) ?? .unknown
  }

  private func frontChanged() {
    let front = frontState
    switch front {
    case .initialising:
      if state == .connected { owner.disconnect() }
      if state == .closed || state == .connected || state == .closing { switchTo(.initWait) }
    case .initialised, .connected:
      guard state == .initWait, readyStates.contains(front) else { return }
      do throws(ConnectFailure) {
        try owner.connect()
        // Taking up the rings may have shown that the guest is not to be served.
        if state == .initWait { switchTo(.connected) }
      } catch {
        fail(error.message)
      }
    case .closing:
      guard state != .closing, state != .closed else { return }
      owner.disconnect()
      switchTo(.closing)
    case .closed, .unknown:
      // A front end that is not there yet is no reason to close.
      guard state != .closed, state != .initWait || front == .closed else { return }
      owner.disconnect()
      switchTo(.closed)
    case .initWait, .reconfiguring, .reconfigured: break
    }
  }

  /// A decimal number that the front end wrote, or nil.
  func frontNumber(_ key: String) -> UInt32? { store.read(frontPath + "/" + key).flatMap { UInt32($0) } }
  func frontFlag(_ key: String) -> Bool { (frontNumber(key) ?? 0) != 0 }
}

extension String {
  func replacingPrefix(_ prefix: String, with other: String) -> String {
    hasPrefix(prefix) ? other + dropFirst(prefix.count) : self
  }
}
