import Xenstore

/// The page that a domain shares with the store, as the store sees it.
public final class StorePage: StoreRing {
  private let guest: any GuestInterface
  private let page: SharedPages
  public let port: UInt32
  private var binding: PortBinding?

  /// - Parameter address: machine address of the page.
  public init(guest: any GuestInterface, address: UInt64, port: UInt32) {
    self.guest = guest
    self.port = port
    page = SharedPages(guest: guest, pages: [GrantedPage(address: address, handle: 0)])
  }

  public func load(_ offset: Int) -> UInt32 { page.load32(offset) }
  public func store(_ value: UInt32, at offset: Int) { page.store32(value, at: offset) }
  public func copyOut(_ offset: Int, count: Int) -> [UInt8] { page.copyOut(offset, count: count) }
  public func copyIn(_ bytes: ArraySlice<UInt8>, at offset: Int) { bytes.withUnsafeBytes { page.copyIn($0, at: offset) } }
  public func notify() {
    if let binding { guest.notify(binding) }
  }

  /// Takes the store's event channel; false if the guest has none to offer.
  func bind(_ handler: @escaping () -> Void) -> Bool {
    binding = guest.bindPort(port, handler: handler)
    return binding != nil
  }
}
