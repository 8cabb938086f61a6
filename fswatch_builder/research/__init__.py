"""What ``bench`` runs: watching measured against scanning, on made trees and on one's own."""
