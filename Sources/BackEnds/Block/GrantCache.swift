import Xenstore

/// Grants that a front end keeps for good (feature-persistent): mapped at first use, unmapped when the device goes.
/// Without the feature each use maps and unmaps.
struct GrantCache {
  /// As many as blkback keeps: beyond, a grant is mapped for its use only.
  static let limit = 1056

  private let guest: any GuestInterface
  private let isPersistent: Bool
  private var pages: [UInt32: GrantedPage] = [:]

  init(guest: any GuestInterface, isPersistent: Bool) {
    self.guest = guest
    self.isPersistent = isPersistent
  }

  /// A page for one use; `release` afterwards.
  mutating func map(_ reference: UInt32, write: Bool) -> Use? {
    if isPersistent {
      if let page = pages[reference] { return Use(page: page, isKept: true) }
      if pages.count < Self.limit, let page = guest.mapGrant(reference, write: true) {
        pages[reference] = page
        return Use(page: page, isKept: true)
      }
    }
    return guest.mapGrant(reference, write: write).map { Use(page: $0, isKept: false) }
  }

  func release(_ use: Use) {
    if !use.isKept { guest.unmapGrant(use.page) }
  }

  mutating func dropAll() {
    for reference in pages.keys.sorted() { if let page = pages[reference] { guest.unmapGrant(page) } }
    pages = [:]
  }

  struct Use {
    var page: GrantedPage
    var isKept: Bool
  }
}
